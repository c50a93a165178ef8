import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CreateIdentity } from '#schemas/identity.ts'
import { OrganizationId, VaultId, type IdentityId, type JobId, type RotationCampaignId, type RotationId } from '#schemas/ids.ts'
import { placeLimit } from '#schemas/rules/rotation-campaign.ts'
import { changeIdentity } from '#store/change-identity.ts'
import { deleteIdentity } from '#store/delete-identity.ts'
import { createOrganization } from '#store/organization.ts'
import { recordOrganizationSecret } from '#store/organization-secret.ts'
import { releaseLease } from '#store/release-lease.ts'
import { takeCampaignTurn } from '#store/take-campaign-turn.ts'
import { createVault } from '#store/vault.ts'
import { campaignActs, type CampaignActs } from '../support/campaigns.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { rotationActs, type RotationActs } from '../support/rotation-acts.ts'
import { storedValue } from '../support/stored-value.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
let acts: RotationActs
let campaigns: CampaignActs
let name = 0
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api'))
  acts = await rotationActs(database, world)
  campaigns = campaignActs(world, acts)
})

const add = async (settings: Partial<Omit<CreateIdentity, 'credential'>> = {}): Promise<IdentityId> =>
  (await world.addIdentity({ hostIds: [world.hostId], username: `app${(name += 1)}`, ...settings })).id
const several = async (count: number): Promise<IdentityId[]> => {
  const ids: IdentityId[] = []
  for (let made = 0; made < count; made += 1) ids.push(await add())
  return ids
}
const actor = { kind: 'system', id: 'a test' } as const
const itemOf = async (id: RotationCampaignId, identityId: IdentityId) => (await campaigns.items(id)).get(identityId)
const rotationOf = async (id: RotationCampaignId, identityId: IdentityId) => (await itemOf(id, identityId))?.rotationId as RotationId
const rotationsOf = async (identityId: IdentityId) =>
  (await database.superuser('select trigger, state from rotation where identity_id = $1 order by started_at, id', [identityId])).rows
const owed = async (id: RotationCampaignId): Promise<{ version: number; closed: boolean }> =>
  (await database.superuser(`select version, closed from obligation where kind = 'rotation_campaign' and subject_id = $1`, [id])).rows[0]

describe('a campaign', () => {
  test('begins as many rotations as may run at once, the next as each ends, tells the admins and is over', async () => {
    const ids = await several(3)
    const id = await campaigns.start(ids, 2)
    await campaigns.advance(id)
    expect((await campaigns.read(id)).counts).toEqual({ waiting: 1, rotating: 2, confirmed: 0, failed: 0, skipped: 0 })
    const before = (await owed(id)).version
    const [first] = [...(await campaigns.items(id)).values()].filter(({ state }) => state === 'rotating')
    await campaigns.finish(first?.rotationId as RotationId)
    expect((await owed(id)).version).toBeGreaterThan(before)
    await campaigns.end(id)
    expect((await campaigns.read(id)).state).toBe('running')
    await campaigns.advance(id)
    for (const { rotationId, state } of (await campaigns.items(id)).values()) if (state === 'rotating') await campaigns.finish(rotationId as RotationId)
    await campaigns.end(id)
    expect(await campaigns.read(id)).toMatchObject({ state: 'completed', finishedAt: expect.any(String), counts: { confirmed: 3 } })
    for (const identityId of ids) expect(await rotationsOf(identityId)).toEqual([{ trigger: 'campaign', state: 'confirmed' }])
    const { rows: told } = await database.superuser('select kind, severity, facts from notice where subject_id = $1', [id])
    expect(told).toEqual([{ kind: 'rotation_campaign.ended', severity: 'info', facts: { state: 'completed', confirmed: 3, failed: 0, skipped: 0 } }])
    expect((await owed(id)).closed).toBe(true)
    const { rows: log } = await database.superuser(`select action, outcome from audit_event where detail ->> 'campaignId' = $1 order by id`, [id])
    expect(log).toEqual([
      { action: 'rotation_campaign.started', outcome: 'success' },
      { action: 'rotation_campaign.ended', outcome: 'completed' },
    ])
  })

  test('gives no place twice, however many workers take turns at once', async () => {
    const id = await campaigns.start(await several(6), 3)
    const tries = await Promise.allSettled(Array.from({ length: 12 }, () => campaigns.turn(id)))
    for (const attempt of tries) if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'busy' })
    await campaigns.advance(id)
    expect((await campaigns.read(id)).counts).toMatchObject({ waiting: 3, rotating: 3 })
  })

  test('is not paused over a turn that is being taken: whoever pauses knows what has begun', async () => {
    const id = await campaigns.start(await several(1))
    await acts.asWorker(async (trx) => {
      await takeCampaignTurn(trx, id, actor)
      await expect(campaigns.say(id, 'pause')).rejects.toMatchObject({ code: 'busy' })
    })
    await campaigns.say(id, 'pause')
    expect(await campaigns.read(id)).toMatchObject({ state: 'paused', counts: { rotating: 1 } })
  })

  test('counts a failure with its class, goes on, and warns at the end', async () => {
    const [bad, good] = (await several(2)) as [IdentityId, IdentityId]
    const id = await campaigns.start([bad, good], 1)
    await campaigns.advance(id)
    const [jobId] = await acts.open(await rotationOf(id, bad))
    for (const epoch of [1, 2, 3]) {
      await acts.claim(jobId as JobId, epoch)
      await acts.report(jobId as JobId, epoch, 'unchanged')
      await acts.shift(`${epoch * 20} seconds`)
    }
    expect(await itemOf(id, bad)).toMatchObject({ state: 'failed', reason: 'denied' })
    await campaigns.advance(id)
    await campaigns.finish(await rotationOf(id, good))
    await campaigns.end(id)
    const { rows } = await database.superuser('select severity, facts from notice where subject_id = $1', [id])
    expect(rows).toEqual([{ severity: 'warning', facts: { state: 'completed', confirmed: 1, failed: 1, skipped: 0 } }])
  })

  test('skips what it cannot rotate by the time of its turn, and says why', async () => {
    const [deleted, disabled, homeless, key, good] = [
      await add(),
      await add(),
      await add({ hostIds: [] }),
      await add({ credentialType: 'api_key' }),
      await add(),
    ] as const
    const enrolling = await add()
    const id = await campaigns.start([deleted, disabled, homeless, key, good, enrolling])
    await world.account.run((trx) => deleteIdentity(trx, deleted, actor))
    await world.account.run((trx) => changeIdentity(trx, { id: disabled, change: { state: 'disabled' }, actor }))
    await database.superuser(`update identity set state = 'enrolling' where id = $1`, [enrolling])
    await campaigns.advance(id)
    const items = await campaigns.items(id)
    expect([deleted, disabled, homeless, key, enrolling, good].map((identityId) => items.get(identityId)?.reason ?? items.get(identityId)?.state)).toEqual([
      'deleted',
      'identity-disabled',
      'identity-has-no-hosts',
      'credential-not-rotatable',
      'enrolling',
      'rotating',
    ])
    const { rows } = await database.superuser(`select outcome from audit_event where action = 'rotation.skipped' and identity_id = $1`, [disabled])
    expect(rows).toEqual([{ outcome: 'identity-disabled' }])
  })
})

/** Where the identity ends up when somebody who manages both organizations moves it. */
async function moveElsewhere(identityId: IdentityId): Promise<void> {
  const organizationId = OrganizationId.parse(uuidv7())
  const vaultId = VaultId.parse(uuidv7())
  await world.account.run(async (trx) => {
    await createOrganization(trx, organizationId, { name: 'elsewhere' }, actor)
    await recordOrganizationSecret(trx, organizationId, 1, actor)
    await createVault(trx, vaultId, { organizationId, name: 'theirs' }, actor)
  })
  await database.superuser('update identity set organization_id = $2, vault_id = $3 where id = $1', [identityId, organizationId, vaultId])
}

test('an identity that has left the organization is none of its campaigns any more: nothing is begun, nor shown of what others begin', async () => {
  const [identityId] = (await several(1)) as [IdentityId]
  const id = await campaigns.start([identityId])
  await moveElsewhere(identityId)
  // Its value is from before, so it would have to be waited for.
  const theirs = await acts.begin(identityId)
  await database.superuser('update rotation set staged_version = 1 where id = $1', [theirs])
  expect(await itemOf(id, identityId)).toMatchObject({ state: 'waiting', rotationId: null, waitsFor: [] })
  await campaigns.advance(id)
  expect(await itemOf(id, identityId)).toMatchObject({ state: 'skipped', reason: 'moved', rotationId: null })
  expect(await rotationsOf(identityId)).toHaveLength(1)
  const { rows } = await database.superuser(`select organization_id from audit_event where action = 'rotation.skipped' and identity_id = $1`, [identityId])
  expect(rows).toEqual([{ organization_id: world.organizationId }])
})

describe('a value from before the campaign is dead at its end', () => {
  test('an open rotation that has no value yet does it', async () => {
    const [identityId] = (await several(1)) as [IdentityId]
    const open = await acts.begin(identityId)
    const id = await campaigns.start([identityId])
    await campaigns.advance(id)
    expect(await itemOf(id, identityId)).toMatchObject({ state: 'rotating', rotationId: open })
    await campaigns.finish(open)
    expect(await itemOf(id, identityId)).toMatchObject({ state: 'confirmed', rotationId: open })
    expect(await rotationsOf(identityId)).toHaveLength(1)
  })

  test('an open rotation whose value was there already must be over first, and then another one begins', async () => {
    const [identityId] = (await several(1)) as [IdentityId]
    const open = await acts.begin(identityId)
    await acts.open(open)
    const id = await campaigns.start([identityId])
    expect(await campaigns.facts(id)).toMatchObject({ waiting: 1, ready: 0, rotating: 0 })
    await campaigns.advance(id)
    expect(await itemOf(id, identityId)).toMatchObject({ state: 'waiting', rotationId: open, waitsFor: [{ hostId: world.hostId }] })
    const { version } = await owed(id)
    await campaigns.finish(open)
    expect((await owed(id)).version).toBeGreaterThan(version)
    await campaigns.advance(id)
    const own = await rotationOf(id, identityId)
    expect(own).not.toBe(open)
    await campaigns.finish(own)
    expect((await itemOf(id, identityId))?.state).toBe('confirmed')
    expect(await rotationsOf(identityId)).toEqual([
      { trigger: 'manual', state: 'confirmed' },
      { trigger: 'campaign', state: 'confirmed' },
    ])
  })

  test('two campaigns over one identity are done by one rotation, whichever has its turn first, and a later one by another', async () => {
    const [identityId] = (await several(1)) as [IdentityId]
    const [first, second, third] = [await campaigns.start([identityId]), await campaigns.start([identityId]), await campaigns.start([identityId])]
    await campaigns.advance(second)
    const rotationId = await rotationOf(second, identityId)
    await acts.open(rotationId)
    await campaigns.advance(first)
    expect(await rotationOf(first, identityId)).toBe(rotationId)
    const later = await campaigns.start([identityId])
    await campaigns.finish(rotationId)
    await campaigns.advance(third)
    await campaigns.advance(later)
    for (const id of [first, second, third]) expect(await itemOf(id, identityId)).toMatchObject({ state: 'confirmed', rotationId })
    expect((await itemOf(later, identityId))?.state).toBe('rotating')
    expect(await rotationsOf(identityId)).toHaveLength(2)
  })

  test('a value that a person stores meanwhile does not count: the identity has its turn again', async () => {
    const [identityId] = (await several(1)) as [IdentityId]
    const id = await campaigns.start([identityId])
    await campaigns.advance(id)
    const cancelled = await rotationOf(id, identityId)
    await world.account.run((trx) => changeIdentity(trx, { id: identityId, change: {}, seal: () => storedValue(), actor }))
    expect((await acts.read(cancelled)).state).toBe('cancelled')
    expect(await itemOf(id, identityId)).toMatchObject({ state: 'waiting', rotationId: null })
    await campaigns.advance(id)
    const next = await rotationOf(id, identityId)
    await campaigns.finish(next)
    expect(await itemOf(id, identityId)).toMatchObject({ state: 'confirmed', rotationId: next })
  })
})

describe('a holder', () => {
  test('holds up nobody else: the free come first, and a rotation that goes on gives its place away after a while', async () => {
    const [held, ...free] = (await several(3)) as [IdentityId, IdentityId, IdentityId]
    const mia = await world.account.principal('mia')
    const lease = await world.account.run((trx) => checkOut(trx, mia, held))
    const id = await campaigns.start([held, ...free], 1)
    await campaigns.advance(id)
    expect((await itemOf(id, held))?.state).toBe('waiting')
    await campaigns.finish(await rotationOf(id, (await itemOf(id, free[0]))?.state === 'rotating' ? free[0] : free[1]))
    await campaigns.advance(id)
    expect(await campaigns.facts(id)).toMatchObject({ waiting: 1, rotating: 1, places: 0, nextPlaceInMs: expect.any(Number) })
    await acts.shift(`${placeLimit + 1} milliseconds`)
    await campaigns.advance(id)
    await acts.open(await rotationOf(id, held))
    await database.superuser('update connector set last_seen_at = app_clock($2) where id = $1', [world.connectorId, world.account.id])
    expect(await itemOf(id, held)).toMatchObject({ state: 'rotating', waitsFor: [{ cause: 'lease', userId: mia.userId }] })
    await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor }))
    await campaigns.finish(await rotationOf(id, held))
    expect(await itemOf(id, held)).toMatchObject({ state: 'confirmed', waitsFor: [] })
  })
})

describe('pause, resume and abort', () => {
  test('a paused campaign begins nothing, what is rotating ends, and it goes on when it is resumed', async () => {
    const [first, second] = (await several(2)) as [IdentityId, IdentityId]
    const id = await campaigns.start([first, second], 1)
    await campaigns.advance(id)
    await campaigns.say(id, 'pause')
    await campaigns.finish(await rotationOf(id, first))
    expect(await campaigns.turn(id)).toBe(false)
    expect(await campaigns.read(id)).toMatchObject({ state: 'paused', counts: { waiting: 1, confirmed: 1 } })
    await campaigns.say(id, 'resume')
    await campaigns.advance(id)
    expect((await itemOf(id, second))?.state).toBe('rotating')
  })

  test('an aborted one lets what is rotating end, begins nothing more, and cannot be taken back', async () => {
    const [first, second] = (await several(2)) as [IdentityId, IdentityId]
    const id = await campaigns.start([first, second], 1)
    await campaigns.advance(id)
    await campaigns.say(id, 'abort')
    await campaigns.say(id, 'abort')
    for (const verb of ['pause', 'resume'] as const) await expect(campaigns.say(id, verb)).rejects.toMatchObject({ code: 'rotation-campaign-over' })
    await campaigns.end(id)
    expect(await campaigns.read(id)).toMatchObject({ state: 'aborting', counts: { rotating: 1, skipped: 1 } })
    // Its rotation is cancelled: the item has no other turn.
    await world.account.run((trx) => changeIdentity(trx, { id: first, change: {}, seal: () => storedValue(), actor }))
    expect(await campaigns.turn(id)).toBe(false)
    await campaigns.end(id)
    expect(await campaigns.read(id)).toMatchObject({ state: 'aborted', counts: { skipped: 2 } })
    expect((await itemOf(id, first))?.reason).toBe('aborted')
    const { rows } = await database.superuser(`select action from audit_event where detail ->> 'campaignId' = $1 order by id`, [id])
    expect(rows.map(({ action }) => action)).toEqual(['rotation_campaign.started', 'rotation_campaign.aborted', 'rotation_campaign.ended'])
    await expect(campaigns.say(id, 'abort')).rejects.toMatchObject({ code: 'rotation-campaign-over' })
  })

  test.each(['pause', 'abort'] as const)('%s at the very moment at which a rotation ends and the next one begins leaves nothing between', async (verb) => {
    for (let round = 0; round < 8; round += 1) {
      const ids = await several(2)
      const id = await campaigns.start(ids, 1)
      await campaigns.advance(id)
      const [begun] = [...(await campaigns.items(id)).values()].filter(({ state }) => state === 'rotating')
      const [jobId] = await acts.open(begun?.rotationId as RotationId)
      await acts.claim(jobId as JobId, 1)
      const patient = async (act: () => Promise<unknown>): Promise<unknown> =>
        act().catch((error: { code?: string }) => (error.code === 'busy' ? patient(act) : Promise.reject(error)))
      await Promise.all([
        patient(() => campaigns.say(id, verb)),
        patient(() => acts.report(jobId as JobId, 1, 'confirmed')),
        patient(() => campaigns.turn(id)),
        patient(() => campaigns.turn(id)),
      ])
      const after = await campaigns.read(id)
      expect(await campaigns.turn(id)).toBe(false)
      expect((await campaigns.read(id)).counts).toEqual(after.counts)
      expect(after.counts).toMatchObject({ confirmed: 1, failed: 0 })
      if (verb === 'pause') await campaigns.say(id, 'resume')
      await campaigns.advance(id)
      for (const { rotationId, state } of (await campaigns.items(id)).values()) if (state === 'rotating') await campaigns.finish(rotationId as RotationId)
      await campaigns.end(id)
      const { state, counts } = await campaigns.read(id)
      expect([state, counts.confirmed + counts.skipped]).toEqual([verb === 'abort' ? 'aborted' : 'completed', 2])
      expect(counts.waiting + counts.rotating + counts.failed).toBe(0)
    }
  })
})
