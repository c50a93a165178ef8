import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectStatus, type ApiClient } from '#stack/api-client.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { useProduct, type Product } from './product.ts'

let stack: Stack
let product: Product
let ola: ApiClient
let mia: ApiClient
let host: string
let vault: string
beforeAll(async () => {
  stack = await startStack()
  product = await useProduct(stack)
  ola = await product.clientOf('ola')
  mia = await product.clientOf('mia')
  const named = async (path: string, name: string) =>
    expectStatus(await mia.get<{ items: { id: string; name: string }[] }>(`${path}?limit=100`), 200).items.find((item) => item.name === name)?.id ?? ''
  host = await named('/v1/hosts', 'target')
  vault = await named('/v1/identity-groups', 'demo')
}, 120_000)
afterAll(() => stack?.stop())

async function onTarget(statement: string): Promise<void> {
  const client = new pg.Client(stack.targetSuperuserUrl)
  await client.connect()
  await client.query(statement).finally(() => client.end())
}
interface Enrolled {
  readonly identity: { readonly id: string }
  readonly rotation: { readonly id: string }
}
const enroll = (username: string, key: string = randomUUID()) => ola.post<Enrolled>(`/v1/hosts/${host}/enroll`, { username, identityGroupId: vault }, key)
const identity = (id: string) => mia.get<{ state: string; name: string; hosts: { sync: string }[] }>(`/v1/identities/${id}`)

describe('an account of a host', () => {
  test('comes into a vault under a new password, of no use to anybody before its host has it, and is rotated from then on', async () => {
    await onTarget(`create role found_here login password 'nobody remembers'`)
    const key = randomUUID()
    const enrolled = expectStatus(await enroll('found_here', key), 202)
    const early = await mia.post<{ code: string }>(`/v1/identities/${enrolled.identity.id}/reveal`, {})
    if (early.status !== 200) expect(early.body.code).toBe('identity-disabled')
    await product.untilConfirmed(enrolled.rotation.id)
    expect((await identity(enrolled.identity.id)).body).toMatchObject({ state: 'active', name: 'found_here@target', hosts: [{ sync: 'in_sync' }] })
    const shown = expectStatus(await mia.post<{ username: string; value: string }>(`/v1/identities/${enrolled.identity.id}/reveal`, {}), 200)
    expect(await product.refused(shown)).toBeUndefined()
    expect(await product.refused({ username: 'found_here', value: 'nobody remembers' })).toBe('28P01')
    expect(expectStatus(await enroll('found_here', key), 202).identity.id).toBe(enrolled.identity.id)
    expect((await enroll('found_here')).body).toMatchObject({ code: 'already-exists' })
    const again = expectStatus(await ola.post<Enrolled>(`/v1/identities/${enrolled.identity.id}/rotate`, {}), 202)
    await product.untilConfirmed(again.rotation.id)
    expect(await product.refused(shown)).toBe('28P01')
  }, 60_000)

  test('that the host does not have leaves nothing behind', async () => {
    const enrolled = expectStatus(await enroll('is_not_there'), 202)
    await expect
      .poll(async () => (await product.sql('select state from rotation where id = $1', [enrolled.rotation.id])).rows[0].state, { timeout: 40_000 })
      .toBe('failed')
    expect((await identity(enrolled.identity.id)).status).toBe(404)
    const { rows } = await product.sql('select count(*)::int as left from credential_version where identity_id = $1 and ciphertext is not null', [
      enrolled.identity.id,
    ])
    expect(rows).toEqual([{ left: 0 }])
  }, 60_000)

  test('is not the one that sets passwords there, needs somebody who may, and a connector that is there', async () => {
    expect((await enroll('leasehold_admin')).status).not.toBe(202)
    const admin = (await product.sql(`select username from identity where name = 'target-admin'`)).rows[0].username
    expect((await enroll(admin)).status).toBe(422)
    expect((await product.sam.post(`/v1/hosts/${host}/enroll`, { username: 'x', identityGroupId: vault })).status).toBe(403)
    await product.sql(`update connector set last_seen_at = now() - interval '31 seconds'`)
    expect((await enroll('found_here_too')).body).toMatchObject({ code: 'host-offline' })
  })
})
