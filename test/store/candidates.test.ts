import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { v7 as uuidv7 } from 'uuid'
import { HostId, type IdentityId, type JobId, type RotationId } from '#schemas/ids.ts'
import type { JobReport } from '#schemas/job-facts.ts'
import { createHost } from '#store/change-host.ts'
import { openJobs, raiseAttention, readOffer } from '#store/job.ts'
import { resolveRotation } from '#store/resolve-rotation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { rotationActs, type RotationActs } from '../support/rotation-acts.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
let acts: RotationActs
let rotationId: RotationId
let identityId: IdentityId
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api'))
  acts = await rotationActs(database, world)
})

const read = () => acts.read(rotationId)

async function begin(hosts: number): Promise<readonly JobId[]> {
  const { actor } = world.account.people.mia
  const more = Array.from({ length: hosts - 1 }, () => HostId.parse(uuidv7()))
  for (const id of more) {
    const body = {
      organizationId: world.organizationId,
      name: id,
      address: `${id}.internal`,
      port: 5432,
      adapter: 'postgres',
      connectorId: world.connectorId,
    } as const
    await world.account.run((trx) => createHost(trx, id, body, actor))
  }
  identityId = (await world.addIdentity({ hostIds: [world.hostId, ...more] })).id
  rotationId = await acts.begin(identityId)
  return acts.open(rotationId)
}

const claim = (jobId: JobId | undefined, epoch: number) => acts.claim(jobId as JobId, epoch)
const report = (jobId: JobId | undefined, epoch: number, outcome: JobReport['outcome'], reasonClass: string | null = null) =>
  acts.report(jobId as JobId, epoch, outcome, { reasonClass })
const refuse = (jobId: JobId | undefined, epoch: number) => report(jobId, epoch, 'unchanged', 'policy-refused')
/** A person says what the hosts in doubt have, after they were called. */
async function resolve(outcome: 'applied' | 'not_applied'): Promise<void> {
  await acts.shift('11 minutes')
  await acts.asWorker((trx) => raiseAttention(trx, rotationId))
  const { actor } = world.account.people.mia
  const reason = { encryptionVersion: 2, keyId: 'o1', ciphertext: Buffer.alloc(48) } as const
  await world.account.run((trx) => resolveRotation(trx, { rotationId, hostId: null, outcome, actor, reason }))
}
const offered = (jobId: JobId | undefined) => acts.asBridge((trx) => readOffer(trx, jobId as JobId))

/** Whether an offer of the job is owed, and not before there is something to offer. */
async function owed(jobId: JobId | undefined): Promise<unknown> {
  const duty = `select o.delivered < o.version as owed, o.next_at < j.next_at - interval '10 milliseconds' as early
    from obligation o join job j on j.id = o.subject_id where o.kind = 'offer' and o.subject_id = $1`
  return (await database.superuser(duty, [jobId])).rows[0]
}

describe('a value that the policy of the target refuses', () => {
  test('is withdrawn, nothing is offered until there is another one, and that one is confirmed', async () => {
    const [job] = await begin(1)
    expect(await claim(job, 1)).toMatchObject({ staged: { version: 2 } })
    await refuse(job, 1)
    expect(await read()).toMatchObject({ state: 'pending', phase: 'queued', stagedVersion: null, jobs: [{ state: 'waiting', reasonClass: 'policy-refused' }] })
    expect(await offered(job)).toBeUndefined()
    expect(await claim(job, 2)).toEqual({ refused: 'gone' })
    await acts.open(rotationId)
    expect(await offered(job)).toMatchObject({ epoch: 2, kind: 'reset' })
    expect(await claim(job, 2)).toMatchObject({ staged: { version: 3 }, known: { version: 1 } })
    await report(job, 2, 'confirmed')
    expect(await read()).toMatchObject({ state: 'confirmed', stagedVersion: 3, reasonClass: null })
    const { rows } = await database.superuser('select version from credential_version where identity_id = $1 and ciphertext is not null', [identityId])
    expect(rows).toEqual([{ version: 3 }])
  })

  test('gives way three times at most; then the rotation has failed, says why, and keeps every candidate', async () => {
    const [job] = await begin(1)
    for (const epoch of [1, 2, 3]) {
      expect(await claim(job, epoch)).toMatchObject({ staged: { version: epoch + 1 } })
      await refuse(job, epoch)
      await acts.open(rotationId)
    }
    expect(await read()).toMatchObject({ state: 'failed', reasonClass: 'policy-refused', stagedVersion: 4, jobs: [{ state: 'failed', attempts: 3 }] })
    const { rows } = await database.superuser('select version from credential_version where identity_id = $1 and ciphertext is not null order by 1', [
      identityId,
    ])
    expect(rows.map((row) => row.version)).toEqual([1, 2, 3, 4])
  })

  test('stays as long as another host may be taking it: a new one comes only after the answer of whoever holds that job', async () => {
    const [first, second, third] = await begin(3)
    await claim(first, 1)
    await claim(second, 1)
    await refuse(first, 1)
    expect((await read()).stagedVersion).toBe(2)
    // Nobody else gets the refused value meanwhile, and the host that refused it does not get it again.
    for (const job of [first, third]) expect(await offered(job)).toBeUndefined()
    expect(await claim(third, 1)).toEqual({ refused: 'later' })
    await acts.shift('31 seconds')
    await acts.lapse(second as JobId, 1)
    expect(await read()).toMatchObject({ stagedVersion: 2, phase: 'in_doubt' })
    expect(await claim(second, 2)).toMatchObject({ kind: 'probe', staged: { version: 2 } })
    await report(second, 2, 'unchanged', 'unverified')
    expect((await read()).stagedVersion).toBeNull()
  })

  test('is withdrawn as well when a person ends the doubt that it waited for, and the other host gets the next one', async () => {
    const [first, second] = await begin(2)
    await claim(first, 1)
    await claim(second, 1)
    await refuse(second, 1)
    await report(first, 1, 'unknown', 'unreachable')
    await resolve('not_applied')
    expect(await read()).toMatchObject({ state: 'pending', stagedVersion: null, needsAttention: false, jobs: [{ state: 'failed' }, { state: 'waiting' }] })
    await acts.open(rotationId)
    expect(await offered(second)).toMatchObject({ epoch: 2, kind: 'reset' })
  })

  test('fails with its host when a person finds that another one has it', async () => {
    const [first, second] = await begin(2)
    await claim(first, 1)
    await claim(second, 1)
    await refuse(second, 1)
    await report(first, 1, 'unknown', 'unreachable')
    await resolve('applied')
    expect(await read()).toMatchObject({ state: 'failed', reasonClass: 'policy-refused', jobs: [{ state: 'confirmed' }, { state: 'failed' }] })
  })

  test('is followed by another one that is offered to it at once, and to a host that pauses after its pause, whoever claims a job meanwhile', async () => {
    const [first, second, third] = await begin(3)
    for (const job of [first, third]) {
      await claim(job, 1)
      await report(job, 1, 'unchanged', 'unreachable')
    }
    await claim(second, 1)
    await refuse(second, 1)
    // There is no value: the bridge has nothing to offer, and is done with it.
    await database.superuser(`update obligation set delivered = version where kind = 'offer'`)
    await acts.stage(rotationId)
    for (const job of [second, third]) expect(await owed(job)).toEqual({ owed: true, early: false })
    await acts.shift('3 seconds')
    expect(await claim(first, 2)).toMatchObject({ staged: { version: 3 } })
    await acts.asWorker((trx) => openJobs(trx, rotationId))
    for (const job of [second, third]) expect(await owed(job)).toEqual({ owed: true, early: false })
    expect(await offered(second)).toMatchObject({ epoch: 2 })
  })

  test('that another host has already is not replaced: the host that refuses it fails, and what succeeded is seen', async () => {
    const [first, second] = await begin(2)
    await claim(first, 1)
    await report(first, 1, 'confirmed')
    await claim(second, 1)
    await refuse(second, 1)
    expect(await read()).toMatchObject({
      state: 'failed',
      reasonClass: 'policy-refused',
      stagedVersion: 2,
      jobs: [{ state: 'confirmed' }, { state: 'failed' }],
    })
  })

  test('holds up no third host: the value that one host has goes to the others too, and only the one that refuses it fails', async () => {
    const [first, second, third] = await begin(3)
    await claim(first, 1)
    await claim(second, 1)
    await claim(third, 1)
    await report(third, 1, 'unchanged', 'unreachable')
    await report(first, 1, 'confirmed')
    await database.superuser('update obligation set delivered = version where subject_id = $1', [third])
    await refuse(second, 1)
    expect(await read()).toMatchObject({ state: 'pending', stagedVersion: 2, jobs: [{ state: 'confirmed' }, { state: 'failed' }, { state: 'waiting' }] })
    const { rows } = await database.superuser('select delivered < version as owed from obligation where subject_id = $1', [third])
    expect(rows).toEqual([{ owed: true }])
    await acts.shift('1 minute')
    expect(await offered(third)).toMatchObject({ epoch: 2, kind: 'reset' })
    expect(await claim(third, 2)).toMatchObject({ staged: { version: 2 } })
    await report(third, 2, 'confirmed')
    expect(await read()).toMatchObject({ state: 'failed', reasonClass: 'policy-refused' })
  })
})

test.each(['after', 'before'] as const)(
  'a result of an earlier candidate that comes %s the end, and contradicts what is believed, marks the host',
  async (when) => {
    const [first, second] = await begin(2)
    const sayLate = () => report(first, 1, 'confirmed')
    await claim(first, 1)
    await acts.shift('31 seconds')
    await acts.lapse(first as JobId, 1)
    await claim(first, 2)
    await report(first, 2, 'unchanged', 'unverified')
    await claim(second, 1)
    await refuse(second, 1)
    await acts.open(rotationId)
    if (when === 'before') expect(await sayLate()).toBe('stale')
    for (const job of [first, second]) {
      expect(await claim(job, job === first ? 3 : 2)).toMatchObject({ staged: { version: 3 } })
      await report(job, job === first ? 3 : 2, 'confirmed')
    }
    expect((await read()).state).toBe('confirmed')
    if (when === 'after') expect(await sayLate()).toBe('stale')
    const { rows } = await database.superuser(`select sync, known_version from identity_host where identity_id = $1 order by sync`, [identityId])
    expect(rows).toEqual([
      { sync: 'drifted', known_version: 3 },
      { sync: 'in_sync', known_version: 3 },
    ])
  },
)

test('a result that comes after the time of its claim, and says that nothing was changed, ends the doubt', async () => {
  const [job] = await begin(1)
  await claim(job, 1)
  await acts.shift('31 seconds')
  await acts.lapse(job as JobId, 1)
  expect(await report(job, 1, 'unchanged', 'late')).toBe('recorded')
  expect(await read()).toMatchObject({ phase: 'waiting', jobs: [{ state: 'waiting', kind: 'reset' }] })
})
