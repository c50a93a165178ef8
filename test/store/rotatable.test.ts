import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { v7 as uuidv7 } from 'uuid'
import { HostId } from '#schemas/ids.ts'
import type { CreateIdentity, Identity } from '#schemas/identity.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { changeIdentity, type IdentityChange } from '#store/change-identity.ts'
import { createHost } from '#store/change-host.ts'
import { inAccount, type Transaction } from '#store/connection.ts'
import { readIdentity } from '#store/identity.ts'
import { endLease } from '#store/release-lease.ts'
import { beginDueRotation } from '#store/sweep.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { storedValue } from '../support/stored-value.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
/** Beside the PostgreSQL host of the world, one over SSH. */
let linuxId: HostId
const actor = { kind: 'workflow', id: 'test' } as const
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api'))
  linuxId = HostId.parse(uuidv7())
  const parameters = { hostKey: `SHA256:${'A'.repeat(43)}` }
  const body = {
    organizationId: world.organizationId,
    name: 'linux',
    address: 'a.internal',
    port: 22,
    adapter: 'ssh',
    connectorId: world.connectorId,
    parameters,
  } as const
  await world.account.run((trx) => createHost(trx, linuxId, body, actor))
})

const asWorker = <T>(decide: (trx: Transaction) => Promise<T>) => inAccount(database.as('leasehold_worker', 1), world.account.id, decide)
const begin = ({ id }: Identity) => asWorker((trx) => beginRotation(trx, { identityId: id, trigger: 'manual', actor }))
const change = (id: Identity['id'], fields: IdentityChange['change']) => world.account.run((trx) => changeIdentity(trx, { id, change: fields, actor }))
const refused = (...paths: string[]) => ({ code: 'validation-failed', facts: { errors: paths.map((path) => expect.objectContaining({ path })) } })
type Settings = Partial<Omit<CreateIdentity, 'credential'>>

/** Type of credential and hosts that do not go together. */
const hopeless: [string, () => Settings][] = [
  ['an API key on PostgreSQL', () => ({ credentialType: 'api_key', hostIds: [world.hostId] })],
  ['another credential on Linux', () => ({ credentialType: 'other', hostIds: [linuxId] })],
  ['an SSH key on PostgreSQL', () => ({ credentialType: 'ssh_key', hostIds: [world.hostId] })],
  ['an SSH key on Linux and PostgreSQL', () => ({ credentialType: 'ssh_key', hostIds: [linuxId, world.hostId] })],
]

describe.each(hopeless)('%s', (_what, settings) => {
  test('is not rotated by hand', async () => {
    await expect(begin(await world.addIdentity(settings()))).rejects.toMatchObject({ code: 'credential-not-rotatable' })
  })

  test('gets no promise to be rotated, neither at first nor later', async () => {
    await expect(world.addIdentity({ ...settings(), rotateAfterUse: true, rotationIntervalDays: 1 })).rejects.toMatchObject(
      refused('rotateAfterUse', 'rotationIntervalDays'),
    )
    const { id } = await world.addIdentity(settings())
    await expect(change(id, { rotateAfterUse: true })).rejects.toMatchObject(refused('rotateAfterUse'))
    await expect(change(id, { rotationIntervalDays: 30 })).rejects.toMatchObject(refused('rotationIntervalDays'))
    const bare = await world.addIdentity({ ...settings(), hostIds: [], rotationIntervalDays: 30 })
    await expect(change(bare.id, { hostIds: settings().hostIds ?? [] })).rejects.toMatchObject(refused('rotationIntervalDays'))
  })
})

test('an SSH key on Linux is rotated, and so is a password anywhere', async () => {
  for (const settings of [{ credentialType: 'ssh_key', hostIds: [linuxId] }, { hostIds: [linuxId, world.hostId] }] as const) {
    const identity = await world.addIdentity({ ...settings, hostIds: [...settings.hostIds], rotateAfterUse: true, rotationIntervalDays: 1 })
    await expect(begin(identity)).resolves.toMatchObject({ replayed: false })
  }
})

test('a password policy belongs to passwords: an SSH key takes none, neither at first nor when a password becomes one', async () => {
  const passwordPolicy = { preset: 'linux' as const }
  await expect(world.addIdentity({ credentialType: 'ssh_key', passwordPolicy })).rejects.toMatchObject(refused('passwordPolicy'))
  const { id } = await world.addIdentity({ passwordPolicy })
  await expect(change(id, { credentialType: 'ssh_key' })).rejects.toMatchObject(refused('passwordPolicy', 'credential'))
})

test('a password that becomes an API key takes its promises back in the same change', async () => {
  const { id } = await world.addIdentity({ hostIds: [world.hostId], rotationIntervalDays: 30, rotateAfterUse: true })
  await expect(change(id, { credentialType: 'other' })).rejects.toMatchObject(refused('rotateAfterUse', 'rotationIntervalDays'))
  await expect(change(id, { credentialType: 'other', rotateAfterUse: false, rotationIntervalDays: null })).resolves.toMatchObject({ credentialType: 'other' })
})

describe('an older promise that nobody can keep', () => {
  const promised = async (): Promise<Identity> => {
    const identity = await world.addIdentity({ hostIds: [world.hostId], rotationIntervalDays: 30, rotateAfterUse: true })
    await database.superuser(`update identity set credential_type = 'api_key' where id = $1`, [identity.id])
    return identity
  }

  test('is skipped by the sweep, which the log shows, and its next date is set', async () => {
    const identity = await promised()
    await database.superuser(`update identity set next_rotation_at = now() - interval '1 hour' where id = $1`, [identity.id])
    expect(await asWorker((trx) => beginDueRotation(trx, identity.id))).toBeUndefined()
    const { rows } = await database.superuser(`select outcome from audit_event where identity_id = $1 and action = 'rotation.skipped'`, [identity.id])
    expect(rows).toEqual([{ outcome: 'credential-not-rotatable' }])
    const { nextRotationAt } = await world.account.run((trx) => readIdentity(trx, identity.id))
    expect(Date.parse(nextRotationAt ?? '')).toBeGreaterThan(Date.now())
  })

  test('begins no rotation at checkin; what was shown stays owed until a person stores another value', async () => {
    const identity = await promised()
    const mia = await world.account.principal('mia')
    const { leaseId } = await world.account.run((trx) => checkOut(trx, mia, identity.id))
    await world.account.run((trx) => endLease(trx, identity.id, { leaseId, cause: 'checked_in', actor }))
    expect((await world.account.run((trx) => readIdentity(trx, identity.id))).rotationId).toBeNull()
    await expect(world.account.run((trx) => checkOut(trx, mia, identity.id))).rejects.toMatchObject({ code: 'identity-awaiting-rotation' })
    await world.account.run((trx) => changeIdentity(trx, { id: identity.id, change: { name: 'renamed' }, seal: () => storedValue(), actor }))
    await expect(world.account.run((trx) => checkOut(trx, mia, identity.id))).resolves.toBeDefined()
  })
})
