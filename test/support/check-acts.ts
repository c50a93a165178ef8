import type { Identity } from '#schemas/identity.ts'
import type { HostId, IdentityId, JobId } from '#schemas/ids.ts'
import type { ClaimFacts, ClaimRefusal, JobReport, OfferFacts } from '#schemas/job-facts.ts'
import { beginCheck } from '#store/begin-check.ts'
import { claimCheck } from '#store/claim-check.ts'
import type { Taken } from '#store/late-result.ts'
import { offerCheck } from '#store/check-turn.ts'
import { reportCheck } from '#store/report-check.ts'
import type { TestDatabase } from './database.ts'
import { instance, rotationActs, type RotationActs } from './rotation-acts.ts'
import { createVaultWorld, type VaultWorld } from './vault-world.ts'

/** What people, bridge and connector do to the checks of a world, each as the transaction that it is. */
export interface CheckActs {
  /** A person asks. @returns the check of each host */
  readonly ask: (identityId: IdentityId) => Promise<ReadonlyMap<HostId, JobId>>
  readonly offer: (id: JobId) => Promise<OfferFacts | undefined>
  readonly claim: (id: JobId, epoch: number, by?: string) => Promise<ClaimFacts | ClaimRefusal>
  /** @param logsIn what the login came to; null: there was none */
  readonly report: (id: JobId, epoch: number, logsIn: boolean | null, more?: Partial<JobReport>) => Promise<Taken>
  readonly read: (
    id: JobId,
  ) => Promise<{ readonly state: string; readonly outcome: string | null; readonly reason_class: string | null; readonly claims: number }>
  /** The claim of now is lost. */
  readonly lose: (id: JobId) => Promise<unknown>
  /** The connector was heard of just now, or not for a minute. */
  readonly hear: (online: boolean) => Promise<unknown>
}

/** A vault with one identity that is checked every day, on a host whose connector is there. */
export interface CheckWorld {
  readonly world: VaultWorld
  readonly rotations: RotationActs
  readonly acts: CheckActs
  readonly identity: Identity
}

export async function createCheckWorld(database: TestDatabase): Promise<CheckWorld> {
  const world = await createVaultWorld(database, database.as('leasehold_api', 4))
  const rotations = await rotationActs(database, world)
  const acts = checkActs(database, world, rotations)
  await acts.hear(true)
  return { world, rotations, acts, identity: await world.addIdentity({ hostIds: [world.hostId], checkIntervalHours: 24 }) }
}

function checkActs(database: TestDatabase, { account, connectorId }: VaultWorld, { asBridge }: RotationActs): CheckActs {
  const { actor, userId } = account.people.mia
  return {
    ask: async (identityId) => {
      await account.run((trx) => beginCheck(trx, { identityId, actor, requestedBy: userId }))
      const { rows } = await database.superuser('select host_id, id from credential_check where identity_id = $1', [identityId])
      return new Map(rows.map(({ host_id, id }) => [host_id, id]))
    },
    offer: (id) => asBridge((trx) => offerCheck(trx, id)),
    claim: (jobId, epoch, by = instance) => asBridge((trx) => claimCheck(trx, { jobId, epoch, instance: by, connectorId })),
    report: (jobId, epoch, logsIn, more = {}) =>
      asBridge((trx) =>
        reportCheck(trx, {
          jobId,
          epoch,
          instance,
          connectorId,
          outcome: logsIn === true ? 'confirmed' : 'unknown',
          reasonClass: logsIn === null ? 'unreachable' : logsIn ? null : 'denied',
          stagedLogsIn: logsIn,
          knownLogsIn: null,
          ...more,
        }),
      ),
    read: async (id) => (await database.superuser('select state, outcome, reason_class, claims from credential_check where id = $1', [id])).rows[0],
    lose: (id) => database.superuser(`update credential_check set lease_until = now() - interval '1 second' where id = $1`, [id]),
    hear: (online) => database.superuser(`update connector set last_seen_at = now() - $2::interval where id = $1`, [connectorId, online ? '0' : '1 minute']),
  }
}
