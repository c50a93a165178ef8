import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectStatus, type ApiClient } from '#stack/api-client.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { useProduct, type Checkout, type Product } from './product.ts'

interface Secret {
  readonly version: number
  readonly versions: readonly { readonly version: number; readonly credentials: number; readonly reasons: number }[]
  readonly reencryption: { readonly state: string; readonly toVersion: number; readonly resealed: number; readonly failed: number } | null
}

let stack: Stack
let product: Product
let mia: ApiClient
let organization: string
beforeAll(async () => {
  stack = await startStack()
  product = await useProduct(stack)
  mia = await product.clientOf('mia')
  organization = (await product.sql('select organization_id from identity where id = $1', [product.identityId('orders-db')])).rows[0].organization_id
}, 120_000)
afterAll(() => stack?.stop())

const secret = async (): Promise<Secret> => expectStatus(await mia.get<Secret>(`/v1/organizations/${organization}/secret`), 200)

test('a new secret: everything is sealed under it in the end, also when the worker is killed half-way, and every credential opens at any time', async () => {
  const { identityGroupId } = expectStatus(await mia.get<{ identityGroupId: string }>(`/v1/identities/${product.identityId('orders-db')}`), 200)
  const names = Array.from({ length: 120 }, (_, index) => `kept ${index}`)
  const ids = new Map<string, string>()
  for (const name of names) {
    const body = { identityGroupId, name, username: 'app', credentialType: 'password', credential: `value of ${name}` }
    ids.set(name, expectStatus(await mia.post<{ id: string }>('/v1/identities', body), 201).id)
  }
  const held = await product.takeWhenFree('reports-db')
  const values = async () => {
    const shown = new Map<string, string>()
    for (const [name, id] of ids) shown.set(name, expectStatus(await mia.post<{ value: string }>(`/v1/identities/${id}/reveal`, {}), 200).value)
    return shown
  }

  expect((await mia.put(`/v1/organizations/${organization}/secret`, {})).status).toBe(409)
  await stack.restart('worker-1', 'page resealed')
  const starts = async () => (await stack.processes()).find(({ name }) => name === 'worker-1')?.starts ?? 0
  const before = await starts()
  expect((await mia.post(`/v1/organizations/${organization}/secret/rotate`, {})).status).toBe(202)
  const again = await mia.post<{ code: string }>(`/v1/organizations/${organization}/secret/rotate`, {})
  expect([again.status, again.body.code]).toEqual([409, 'reencryption-running'])
  expect([...(await values())].every(([name, value]) => value === `value of ${name}`)).toBe(true)
  await expect.poll(starts, { timeout: 30_000, interval: 100 }).toBeGreaterThan(before)
  const { credentials = 0 } = (await secret()).versions.find(({ version }) => version === 1) ?? {}
  expect(credentials).toBeGreaterThan(0)

  await expect.poll(async () => (await secret()).reencryption, { timeout: 60_000, interval: 500 }).toMatchObject({ state: 'done', toVersion: 2, failed: 0 })
  const { version, versions } = await secret()
  expect(version).toBe(2)
  expect(versions).toMatchObject([
    { version: 1, credentials: 0, reasons: 0 },
    { version: 2, credentials: expect.any(Number) },
  ])
  expect([...(await values())].every(([name, value]) => value === `value of ${name}`)).toBe(true)
  const shown = expectStatus(await product.sam.post<Checkout['credential']>(`/v1/leases/${held.lease.id}/credential`, {}), 200)
  expect(shown.value).toBe(held.credential.value)
  expectStatus(await product.checkin(held.lease), 200)
  const used = await product.takeWhenFree('orders-db')
  const { rotationId } = expectStatus(await product.checkin(used.lease), 200).lease
  await product.untilConfirmed(rotationId as string)
  expect(await product.refused(await product.reveal('orders-db'))).toBeUndefined()
  const { rows } = await product.sql(`select outcome from audit_event where action = 'organization_secret.reencrypted'`)
  expect(rows).toEqual([{ outcome: 'success' }])
}, 180_000)
