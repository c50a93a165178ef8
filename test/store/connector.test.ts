import { createUser } from '@nats-io/nkeys'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JoinRequest } from '#schemas/connector.ts'
import { ConnectorId } from '#schemas/ids.ts'
import { createConnector, readConnector, revokeConnector } from '#store/connector.ts'
import { issueJoinToken, joinConnector, readJoinToken } from '#store/join-token.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
  world = await createVaultWorld(database, database.as('leasehold_api'))
})
afterAll(() => database?.end())

const code = (name: string) => expect.objectContaining({ code: name })

async function register(): Promise<{ id: ConnectorId; token: string }> {
  const { account, organizationId } = world
  const { actor } = account.people.ola
  return account.run(async (trx) => {
    const { id } = await createConnector(trx, ConnectorId.parse(uuidv7()), { organizationId, name: `c ${uuidv7()}` }, actor)
    return { id, token: (await issueJoinToken(trx, account.id, id, actor)).joinToken }
  })
}

const keys = (token: string): JoinRequest => ({
  token,
  nkey: createUser().getPublicKey(),
  encryptionJwk: { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43), kid: 'k1' },
})
const join = (id: ConnectorId, request: JoinRequest) => world.account.run((trx) => joinConnector(trx, id, request, { kind: 'connector', id }))
const stateOf = async (id: ConnectorId) => (await world.account.run((trx) => readConnector(trx, id))).state
const owed = async (id: ConnectorId) =>
  (await database.superuser(`select version, delivered from obligation where kind = 'connector' and subject_id = $1`, [id])).rows

describe('a join token', () => {
  test('names its account and connector, and is stored only as a hash', async () => {
    const { id, token } = await register()
    expect(readJoinToken(token)).toEqual({ accountId: world.account.id, connectorId: id })
    for (const other of ['', 'lhj_', `${token}A`, token.slice(0, -1), token.replace('lhj_', 'xxx_')]) expect(readJoinToken(other)).toBeUndefined()
    const { rows } = await database.superuser('select to_jsonb(t)::text as row from join_token t where connector_id = $1', [id])
    expect(rows).toHaveLength(1)
    expect(rows[0].row).not.toContain(token)
  })

  test('lets one key join, which may ask again until its identity is there', async () => {
    const { id, token } = await register()
    const request = keys(token)
    expect(await join(id, request)).toEqual({ connectorId: id, organizationId: world.organizationId, userJwt: null })
    expect(await stateOf(id)).toBe('joining')
    expect(await owed(id)).toEqual([{ version: 1, delivered: 0 }])
    expect(await join(id, request)).toMatchObject({ userJwt: null })
    expect(await owed(id)).toHaveLength(1)
    await database.superuser(`update connector set state = 'active', user_jwt = 'minted' where id = $1`, [id])
    expect(await join(id, request)).toMatchObject({ userJwt: 'minted' })
  })

  test('is refused to a second key, when it is unknown, and after 15 minutes; each refusal is on record', async () => {
    const { id, token } = await register()
    const late = await register()
    await join(id, keys(token))
    expect(await join(id, keys(token))).toBeUndefined()
    expect(await join(id, keys(late.token))).toBeUndefined()
    await database.superuser(`update join_token set expires_at = now() - interval '1 s' where connector_id = $1`, [late.id])
    expect(await join(late.id, keys(late.token))).toBeUndefined()
    expect(await stateOf(late.id)).toBe('pending')
    const { rows } = await database.superuser(
      `select effect, outcome from audit_event where connector_id = any($1) and action = 'connector.joined' order by id`,
      [[id, late.id]],
    )
    expect(rows).toEqual([{ effect: 'permit', outcome: 'success' }, ...Array(3).fill({ effect: 'deny', outcome: 'invalid-join-token' })])
  })

  test('ends when a new one is made, and a half finished join starts over', async () => {
    const { id, token } = await register()
    await join(id, keys(token))
    const { account } = world
    const fresh = await account.run((trx) => issueJoinToken(trx, account.id, id, account.people.ola.actor))
    expect(await stateOf(id)).toBe('pending')
    expect(await join(id, keys(token))).toBeUndefined()
    expect(await join(id, keys(fresh.joinToken))).toBeDefined()
  })

  test('of a connector that has joined only lets the same keys in again', async () => {
    const { account } = world
    const { id, token } = await register()
    const request = keys(token)
    await join(id, request)
    await database.superuser(`update connector set state = 'active', user_jwt = 'minted' where id = $1`, [id])
    const fresh = await account.run((trx) => issueJoinToken(trx, account.id, id, account.people.ola.actor))
    expect(await stateOf(id)).toBe('active')
    expect(await join(id, keys(fresh.joinToken))).toBeUndefined()
    expect(await join(id, { ...request, token: fresh.joinToken })).toMatchObject({ userJwt: 'minted' })
  })

  test('never lets two connectors have the same key', async () => {
    const [one, other] = [await register(), await register()]
    const request = keys(one.token)
    await join(one.id, request)
    expect(await join(other.id, { ...request, token: other.token })).toBeUndefined()
  })
})

describe('a revoked connector', () => {
  test('is owed its disconnection once, and never joins again', async () => {
    const { account } = world
    const { actor } = account.people.ola
    const { id, token } = await register()
    const request = keys(token)
    await join(id, request)
    expect(await account.run((trx) => revokeConnector(trx, id, actor))).toMatchObject({ state: 'revoked', online: false })
    expect(await account.run((trx) => revokeConnector(trx, id, actor))).toMatchObject({ state: 'revoked' })
    expect(await owed(id)).toEqual([{ version: 2, delivered: 0 }])
    expect(await join(id, request)).toBeUndefined()
    await expect(account.run((trx) => issueJoinToken(trx, account.id, id, actor))).rejects.toEqual(code('connector-revoked'))
    const { rows } = await database.superuser('select count(*)::int as tokens from join_token where connector_id = $1', [id])
    expect(rows).toEqual([{ tokens: 0 }])
  })
})
