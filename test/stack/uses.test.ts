import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createProofKey, type ProofKey } from '../api/issuer.ts'
import { expectStatus } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { useProduct, type Product } from './product.ts'

let stack: Stack
let product: Product
beforeAll(async () => {
  stack = await startStack({ apis: 4 })
  product = await useProduct(stack)
}, 120_000)
afterAll(() => stack?.stop())

/** @returns the status, or 0 when the connection broke */
async function reveal(path: string, token: string, key: ProofKey): Promise<number> {
  const url = stack.urls.api + path
  const headers = { authorization: `DPoP ${token}`, dpop: await key.proof(token, 'POST', url), 'content-type': 'application/json' }
  const answer = await fetch(url, { method: 'POST', headers, body: '{}' }).catch(() => undefined)
  await answer?.text().catch(() => undefined)
  return answer?.status ?? 0
}

test('max_uses 5, hundreds of uses at once over 4 replicas of which one after the other is killed: never more than 5 values leave', async () => {
  const ola = await product.clientOf('ola')
  const path = `/v1/identities/${product.identityId('reports-db')}/reveal`
  const policies = `permit (principal, action, resource); @obligation_max_uses("5") permit (principal, action == Action::"identity.reveal", resource);`
  const set = expectStatus(await ola.post<{ id: string }>('/v1/policy-sets', { policies }, randomUUID()), 201)
  expectStatus(await ola.post(`/v1/policy-sets/${set.id}/activate`, {}), 200)
  const key = await createProofKey()
  const token = await accessToken({ home: stack.home, user: 'sam', acr: 'mfa', dpopKey: key.pair })

  const statuses: number[] = []
  const answered = () => statuses.filter((status) => status !== 0).length
  const lane = async (): Promise<void> => {
    while (answered() < 500) {
      const status = await reveal(path, token, key)
      statuses.push(status)
      if (status === 0) await sleep(50)
    }
  }
  const killer = (async () => {
    for (const [index, name] of ['api-1', 'api-2', 'api-3', 'api-4'].entries()) {
      while (answered() < 1 + 80 * index) await sleep(1)
      await stack.kill(name)
    }
  })()
  await Promise.all([...Array.from({ length: 50 }, lane), killer])
  expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(5)
  // 503: a replica that has just come back, or the crowd at the lock.
  expect([...new Set(statuses)].filter((status) => ![0, 200, 403, 503].includes(status))).toEqual([])
  const { rows } = await product.sql(`select max_uses, uses from use_grant where action = 'identity.reveal' and closed_at is null`)
  expect(rows).toEqual([{ max_uses: 5, uses: 5 }])
  expect(await reveal(path, token, key)).toBe(403)
}, 180_000)
