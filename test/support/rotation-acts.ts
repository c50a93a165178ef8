import { randomBytes } from 'node:crypto'
import { Uuid, type IdentityId, type JobId, type RotationId } from '#schemas/ids.ts'
import type { ClaimFacts, ClaimRefusal, JobReport } from '#schemas/job-facts.ts'
import type { RotationFacts } from '#schemas/rotation-facts.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { claimJob } from '#store/claim-job.ts'
import { runnerOf, type RunInAccount } from '#store/connection.ts'
import { lapseClaim, openJobs } from '#store/job.ts'
import type { Taken } from '#store/late-result.ts'
import { reportJob } from '#store/report-job.ts'
import { readRotation, rotationMaterial } from '#store/rotation.ts'
import { stageVersion } from '#store/stage-version.ts'
import type { TestDatabase } from './database.ts'
import type { VaultWorld } from './vault-world.ts'

/** What workflow, bridge and connector do to the rotations of a world, each as the transaction that it is. */
export interface RotationActs {
  readonly asWorker: RunInAccount
  readonly asBridge: RunInAccount
  /** Moves the clock of the account to so much after the real one. */
  readonly shift: (interval: string) => Promise<unknown>
  readonly read: (id: RotationId) => Promise<RotationFacts>
  readonly begin: (identityId: IdentityId) => Promise<RotationId>
  readonly stage: (id: RotationId) => Promise<void>
  /** Stages a value and opens the jobs, as the workflow does. */
  readonly open: (id: RotationId) => Promise<readonly JobId[]>
  readonly claim: (jobId: JobId, epoch: number, instance?: string) => Promise<ClaimFacts | ClaimRefusal>
  readonly lapse: (jobId: JobId, epoch: number) => Promise<void>
  readonly report: (jobId: JobId, epoch: number, outcome: JobReport['outcome'], more?: Partial<JobReport>) => Promise<Taken>
}

const worker = { kind: 'workflow', id: 'a test' } as const
/** The instance of the connector, unless a test says another one. */
export const instance = Uuid.parse('0193c3a0-0000-7000-8000-000000000001')

/** @param world whose connector is made to have joined */
export async function rotationActs(database: TestDatabase, world: VaultWorld): Promise<RotationActs> {
  const { account, connectorId } = world
  await database.superuser(`update connector set state = 'joining' where id = $1`, [connectorId])
  await database.superuser(`update connector set state = 'active', encryption_jwk = '{"kty":"OKP"}' where id = $1`, [connectorId])
  const asWorker = runnerOf(database.as('leasehold_worker', 2), account.id)
  const asBridge = runnerOf(database.as('leasehold_bridge', 2), account.id)
  const read = (id: RotationId) => asWorker((trx) => readRotation(trx, id))
  const stage = (id: RotationId) =>
    asWorker(async (trx) => {
      const { nextVersion: version } = await rotationMaterial(trx, id)
      const sealed = { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(48) } as const
      await stageVersion(trx, id, { version, sealed, hash: randomBytes(32) }, worker)
    })
  return {
    asWorker,
    asBridge,
    shift: (interval) =>
      database.superuser('insert into clock_shift values ($1, $2) on conflict (account_id) do update set shift = excluded.shift', [account.id, interval]),
    read,
    begin: async (identityId) => (await asWorker((trx) => beginRotation(trx, { identityId, trigger: 'manual', actor: worker }))).rotationId,
    stage,
    open: async (id) => {
      await stage(id)
      await asWorker((trx) => openJobs(trx, id))
      return (await read(id)).jobs.map((job) => job.jobId)
    },
    claim: (jobId, epoch, by = instance) => asBridge((trx) => claimJob(trx, { jobId, epoch, instance: by, connectorId })),
    lapse: (jobId, epoch) => asWorker((trx) => lapseClaim(trx, jobId, epoch)),
    report: (jobId, epoch, outcome, more = {}) =>
      asBridge((trx) =>
        reportJob(trx, {
          jobId,
          epoch,
          instance,
          connectorId,
          outcome,
          reasonClass: outcome === 'confirmed' ? null : 'denied',
          stagedLogsIn: null,
          knownLogsIn: null,
          ...more,
        }),
      ),
  }
}
