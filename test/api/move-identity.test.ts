import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AccountId, RotationId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import { passwordHash } from '#secrets/envelope.ts'
import { acme, globex } from '#stack/people.ts'
import { inAccount } from '#store/connection.ts'
import { rotationMaterial } from '#store/rotation.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
/** A vault of the same organization, and one of another organization of the account; nobody has a grant there. */
let beside: string
let elsewhere: string
let otherOrganization: string

beforeAll(async () => {
  world = await createApiWorld()
  beside = await make('/v1/identity-groups', { organizationId: world.organizationId, name: 'beside' })
  otherOrganization = await make('/v1/organizations', { name: 'other' })
  await world.call('mia', 'PUT', `/v1/organizations/${otherOrganization}/secret`, { body: {} })
  elsewhere = await make('/v1/identity-groups', { organizationId: otherOrganization, name: 'elsewhere' })
})
afterAll(() => world?.end())

const make = async (path: string, body: object): Promise<string> => (await world.post('mia', path, body)).body.id
const newVault = (): Promise<string> => make('/v1/identity-groups', { organizationId: world.organizationId, name: randomUUID() })
const move = (id: string, identityGroupId: string, sub = 'mia', headers = {}) => world.post(sub, `/v1/identities/${id}/move`, { identityGroupId }, headers)
const patch = (id: string, body: object, sub = 'mia', headers = {}) => world.call(sub, 'PATCH', `/v1/identities/${id}`, { body, headers })
const reveal = async (id: string, sub = 'mia') => {
  const { status, body } = await world.post(sub, `/v1/identities/${id}/reveal`)
  return status === 200 ? body.value : status
}
const checkout = (sub: string, id: string) => world.post(sub, `/v1/identities/${id}/checkout`, { reason: 'deploy 42', durationMinutes: 30 })
const idpIdOf = (sub: string) => [...acme.users, ...globex.users].find((user) => user.sub === sub)?.idpId
const grant = (vault: string, sub: string, level = 'checkout') =>
  world.post('mia', `/v1/identity-groups/${vault}/grants`, { principal: { type: 'user', id: idpIdOf(sub) }, level })
const rows = async (text: string, values: unknown[]) => (await world.database.superuser(text, values)).rows
const valuesOf = (id: string) => rows('select version, encryption_version, key_id, ciphertext from credential_version where identity_id = $1', [id])

describe('an identity that moves', () => {
  test('keeps its value, which is encrypted anew under the key of the vault it moves to', async () => {
    const id = await world.addIdentity('wanderer')
    const [before] = await valuesOf(id)
    const answer = await move(id, beside)
    expect([answer.status, answer.body]).toEqual([
      200,
      expect.objectContaining({ id, identityGroupId: beside, organizationId: world.organizationId, version: 2 }),
    ])
    expect(answer.headers.get('etag')).toBe('"2"')
    const [after] = await valuesOf(id)
    expect(after?.ciphertext.equals(before?.ciphertext)).toBe(false)
    expect(await reveal(id)).toBe('password of wanderer')
    // The old ciphertext, put back, opens nowhere: it belonged to the other vault.
    await world.database.superuser('update credential_version set ciphertext = $2 where identity_id = $1', [id, before?.ciphertext])
    expect(await reveal(id)).toBe(500)
  })

  test('also by a change of identityGroupId, which comes alone; the vault it is in changes nothing', async () => {
    const id = await world.addIdentity('patched')
    const refused = await patch(id, { identityGroupId: beside, name: 'x' })
    expect([refused.status, refused.body.errors[0].path]).toEqual([422, 'identityGroupId'])
    expect((await patch(id, { identityGroupId: beside })).body).toMatchObject({ identityGroupId: beside, version: 2 })
    expect((await move(id, beside)).body).toMatchObject({ identityGroupId: beside, version: 2 })
    expect((await patch(id, { identityGroupId: beside, name: 'named anew' })).body).toMatchObject({ name: 'named anew', version: 3 })
  })

  test('goes to another organization of the account under the keys of that one', async () => {
    const id = await world.addIdentity('emigrant')
    expect((await move(id, elsewhere)).body).toMatchObject({ identityGroupId: elsewhere, organizationId: otherOrganization })
    expect(await reveal(id)).toBe('password of emigrant')
    const { lease, credential } = (await checkout('mia', id)).body
    expect([lease.organizationId, lease.identityGroupId, credential.value]).toEqual([otherOrganization, elsewhere, 'password of emigrant'])
  })

  test('takes every stored value along, those of hosts that lag behind too', async () => {
    const id = await world.addIdentity('many', { hostIds: [world.hostId] })
    await world.call('mia', 'PATCH', `/v1/identities/${id}`, { body: { credential: 'the second' } })
    // As after a rotation that reached one host and not this one: the older value still logs in here.
    await world.database.superuser('update identity_host set known_version = 2 where identity_id = $1', [id])
    await world.database.superuser(
      `insert into credential_version (account_id, identity_id, version, encryption_version, key_id, ciphertext)
       select account_id, identity_id, 3, 2, key_id, ciphertext from credential_version where identity_id = $1 and version = 2`,
      [id],
    )
    // Version 3 is a copy of version 2, so it opens nowhere: nothing moves, and it is on record.
    expect((await move(id, beside)).status).toBe(500)
    expect(await valuesOf(id)).toHaveLength(3)
    expect((await world.call('mia', 'GET', `/v1/identities/${id}`)).body.identityGroupId).toBe(world.vaultId)
    expect(await rows(`select 1 from audit_event where identity_id = $1 and action = 'credential.decryption_failed'`, [id])).toHaveLength(1)
    await world.database.superuser('delete from credential_version where identity_id = $1 and version = 3', [id])
    expect((await move(id, beside)).status).toBe(200)
    expect(await reveal(id)).toBe('the second')
  })

  test('is reached by grants of the new vault and no longer by those of the old one', async () => {
    const id = await world.addIdentity('guarded')
    const target = await newVault()
    expect((await grant(target, 'vic')).status).toBe(201)
    expect([await reveal(id, 'sam'), await reveal(id, 'vic')]).toEqual(['password of guarded', 403])
    expect((await move(id, target)).status).toBe(200)
    expect([await reveal(id, 'sam'), await reveal(id, 'vic')]).toEqual([403, 'password of guarded'])
    expect([(await checkout('sam', id)).status, (await checkout('vic', id)).status]).toEqual([403, 201])
  })

  test('keeps the approvals that it is used with: they are as strict there, or come along, or an owner moves it', async () => {
    const [guarded, free, weaker, stricter] = [await newVault(), await newVault(), await newVault(), await newVault()]
    const approve = (of: object, needed: number) =>
      world.post('mia', '/v1/approval-policies', { ...of, steps: [{ approvers: [{ type: 'permission' }], needed }] })
    await approve({ identityGroupId: guarded }, 1)
    await world.call('mia', 'PATCH', `/v1/approval-policies/${(await approve({ identityGroupId: weaker }, 1)).body.id}`, { body: { required: false } })
    await approve({ identityGroupId: stricter }, 2)
    const id = await world.addIdentity('approved', { identityGroupId: guarded })
    for (const answer of [await move(id, free, 'ola'), await move(id, weaker, 'ola'), await patch(id, { identityGroupId: free }, 'ola')])
      expect([answer.status, answer.body.code]).toEqual([403, 'approvals-lost'])
    expect((await world.call('mia', 'GET', `/v1/identities/${id}`)).body.identityGroupId).toBe(guarded)
    expect((await move(id, stricter, 'ola')).status).toBe(200)
    expect((await move(id, guarded, 'ola')).body.code).toBe('approvals-lost')
    const own = await world.addIdentity('approved by its own', { identityGroupId: guarded })
    await approve({ identityId: own }, 1)
    expect((await move(own, free, 'ola')).status).toBe(200)
    expect((await checkout('mia', own)).status).toBe(202)
    expect((await move(id, free)).status).toBe(200)
  })

  test('leaves what is over where it was: reasons of old leases are read, under the vault they were given in', async () => {
    const id = await world.addIdentity('storied')
    const { lease } = (await checkout('sam', id)).body
    await world.post('sam', `/v1/leases/${lease.id}/checkin`)
    await move(id, elsewhere)
    expect((await world.call('mia', 'GET', `/v1/leases/${lease.id}`)).body).toMatchObject({
      reason: 'deploy 42',
      identityGroupId: world.vaultId,
      state: 'ended',
    })
    const { items } = (await world.call('axe', 'GET', `/v1/audit/events?identityId=${id}`)).body
    expect(items.filter((event: { action: string }) => event.action === 'lease.granted')).toMatchObject([{ reason: 'deploy 42', vaultId: world.vaultId }])
  })

  test('remembers its old values: the hashes name the vault whose key they were made with', async () => {
    const id = await world.addIdentity('mindful', { hostIds: [world.hostId] })
    await move(id, beside)
    await patch(id, { credential: 'the second' })
    const { rotation } = (await world.post('mia', `/v1/identities/${id}/rotate`)).body
    const { history } = await inAccount(world.parts.db, acme.id as AccountId, (trx) => rotationMaterial(trx, rotation.id as RotationId))
    const vaults = history.map(({ key }) => key.vaultId)
    expect(vaults.toSorted()).toEqual([world.vaultId, beside].toSorted())
    for (const { key, hash } of history) {
      const value = key.vaultId === beside ? 'the second' : 'password of mindful'
      expect(Buffer.from(hash)).toEqual(passwordHash(await world.parts.vaultKeys.get(key), Secret.of(value)))
    }
  })

  test('is on record in the logs of both vaults', async () => {
    const id = await world.addIdentity('recorded')
    await move(id, elsewhere)
    const events = await rows(
      `select organization_id, vault_id, actor_sub, detail from audit_event where identity_id = $1 and action = 'identity.moved' order by id`,
      [id],
    )
    const detail = { from: world.vaultId, to: elsewhere, values: 1 }
    expect(events).toEqual([
      { organization_id: world.organizationId, vault_id: world.vaultId, actor_sub: 'mia', detail },
      { organization_id: otherOrganization, vault_id: elsewhere, actor_sub: 'mia', detail },
    ])
  })
})

describe('a move is refused', () => {
  test('at another version than the caller saw', async () => {
    const id = await world.addIdentity('versioned')
    expect((await move(id, beside, 'mia', { 'if-match': '"7"' })).status).toBe(412)
    expect((await patch(id, { identityGroupId: beside }, 'mia', { 'if-match': '"7"' })).status).toBe(412)
    expect((await move(id, beside, 'mia', { 'if-match': '"1"' })).status).toBe(200)
  })

  test('while somebody holds the identity, and not for a lease that is over', async () => {
    const id = await world.addIdentity('held')
    const { lease } = (await checkout('sam', id)).body
    const refused = await move(id, beside)
    expect([refused.status, refused.body.code, refused.body.holder]).toEqual([409, 'identity-checked-out', 'Sam Operator'])
    await world.database.superuser(`update lease set started_at = started_at - interval '1 h', expires_at = started_at - interval '1 min' where id = $1`, [
      lease.id,
    ])
    expect((await move(id, beside)).status).toBe(200)
    expect((await world.call('mia', 'GET', `/v1/leases/${lease.id}`)).body.endCause).toBe('expired')
  })

  test.each([
    ['waiting', 'rotation-open'],
    ['claimed', 'identity-rotating'],
    ['doubt', 'identity-rotating'],
  ])('while a rotation is %s', async (state, code) => {
    const id = await world.addIdentity(`rotating ${state}`, { hostIds: [world.hostId] })
    const { rotation } = (await world.post('mia', `/v1/identities/${id}/rotate`)).body
    const connector = world.connectorId
    await world.database.superuser(
      `insert into job (account_id, organization_id, identity_id, rotation_id, host_id, connector_id, state, instance, lease_until, doubt_since)
       values ($1, $2, $3, $4, $5, $6, $7, gen_random_uuid(), now() + interval '30 s', now())`,
      [acme.id, world.organizationId, id, rotation.id, world.hostId, connector, state],
    )
    const refused = await move(id, beside)
    expect([refused.status, refused.body.code, refused.body.rotationId]).toEqual([409, code, rotation.id])
    expect(await reveal(id)).toBe(`password of rotating ${state}`)
  })

  test('into another organization while its hosts, or a host that it administers, stay behind', async () => {
    const id = await world.addIdentity('rooted', { hostIds: [world.hostId] })
    const refused = await move(id, elsewhere)
    expect([refused.status, refused.body.errors[0].path]).toEqual([422, 'identityGroupId'])
    expect((await move(id, beside)).status).toBe(200)
    await patch(id, { hostIds: [] })
    expect((await move(id, elsewhere)).status).toBe(200)
    const admin = await world.addIdentity('admin of a host')
    const { connectorId, organizationId } = world
    await make('/v1/hosts', {
      organizationId,
      name: 'administered',
      address: '127.0.0.1',
      port: 5432,
      adapter: 'postgres',
      connectorId,
      adminIdentityId: admin,
    })
    expect([(await move(admin, elsewhere)).body.code, (await move(admin, beside)).status]).toEqual(['in-use', 200])
  })

  test('where the name is taken, the organization has no secret, or nobody knows such a vault', async () => {
    const target = await newVault()
    await make('/v1/identities', { identityGroupId: target, name: 'twin', username: 'x', credentialType: 'password', credential: 'x' })
    const id = await world.addIdentity('twin')
    const bare = await make('/v1/organizations', { name: 'bare' })
    const empty = await make('/v1/identity-groups', { organizationId: bare, name: 'empty' })
    expect([(await move(id, target)).body.code, (await move(id, empty)).body.code]).toEqual(['already-exists', 'organization-secret-not-found'])
    expect((await move(id, randomUUID())).status).toBe(404)
    await world.call('mia', 'DELETE', `/v1/identity-groups/${empty}`)
    expect((await move(id, empty)).status).toBe(404)
    expect(await reveal(id)).toBe('password of twin')
  })

  test('to those who do not manage both vaults', async () => {
    const id = await world.addIdentity('managed')
    await world.database.superuser(`update role_assignment set organization_id = $2 where user_id = $1`, [
      acme.users.find((user) => user.sub === 'ola')?.id,
      world.organizationId,
    ])
    expect((await move(id, beside, 'sam')).status).toBe(403)
    expect((await move(id, elsewhere, 'ola')).status).toBe(404)
    expect((await move(id, beside, 'ola')).status).toBe(200)
    expect((await move(id, world.vaultId, 'gus')).status).toBe(404)
    await world.database.superuser(`update role_assignment set organization_id = null where user_id = $1`, [acme.users.find((user) => user.sub === 'ola')?.id])
    expect((await move(id, elsewhere, 'ola')).status).toBe(200)
  })

  test('to who would get access by it that somebody else would have to grant', async () => {
    const id = await world.addIdentity('tempting')
    const target = await newVault()
    await grant(target, 'ola')
    const refused = await move(id, target, 'ola')
    expect([refused.status, refused.body.code]).toEqual([403, 'forbidden'])
    expect(await rows(`select 1 from audit_event where identity_id = $1 and action = 'identity.move' and effect = 'deny'`, [id])).toHaveLength(1)
    await grant(world.vaultId, 'ola')
    expect((await move(id, target, 'ola')).status).toBe(200)
  })

  test('without OpenBao before anything is decided', async () => {
    const id = await world.addIdentity('offline')
    await world.openBao(false)
    const refused = await move(id, beside)
    await world.openBao(true)
    expect([refused.status, refused.body.code]).toEqual([503, 'dependency-unavailable'])
    expect((await world.call('mia', 'GET', `/v1/identities/${id}`)).body).toMatchObject({ identityGroupId: world.vaultId, version: 1 })
  })
})

test('a checkout, a reveal and a new value that meet a move never lose the value or open it under a wrong key', async () => {
  const vaults = [world.vaultId, beside]
  for (let turn = 0; turn < 8; turn += 1) {
    const id = await world.addIdentity(`met ${turn}`)
    const value = `value of ${turn}`
    const [moved, changed, shown] = await Promise.all([move(id, beside), patch(id, { credential: value }), world.post('mia', `/v1/identities/${id}/reveal`)])
    expect([moved.status, changed.status, shown.status].every((status) => status === 200 || status === 503 || status === 409)).toBe(true)
    if (shown.status === 200) expect([value, `password of met ${turn}`]).toContain(shown.body.value)
    expect(vaults).toContain((await world.call('mia', 'GET', `/v1/identities/${id}`)).body.identityGroupId)
    expect(await reveal(id)).toBe(changed.status === 200 ? value : `password of met ${turn}`)
  }
  expect(
    await rows(
      `select 1 from audit_event a join identity i on i.id = a.identity_id where i.name like 'met %' and a.action = 'credential.decryption_failed'`,
      [],
    ),
  ).toEqual([])
})
