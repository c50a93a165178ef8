import type { Logger } from 'pino'
import { LeaseholdError } from '#schemas/errors.ts'
import { UserId, VaultId } from '#schemas/ids.ts'
import { reviewRights } from '#store/access-review.ts'
import type { AccessSubject } from '#store/owe-access-review.ts'
import { inAccount, runnerOf, type Db } from '#store/connection.ts'
import { listEndedGrants, reviewEndedGrant, type EndedGrant } from '#store/lost-access.ts'
import { claimDuties, recordDelivered, recordFailure, type Duty } from '#store/duties.ts'
import { startLoop, type Loop } from './loop.ts'

const batch = 20
const grantBatch = 100
const actor = { kind: 'system', id: 'access-review' } as const
const holdMs = 30_000

/**
 * Ends leases whose holders have lost their right to them, and condemns what others have seen who may not any more: somebody took the
 * right away, or a grant ended by itself. Mostly whoever took the right away has ended them before; this
 * finishes what a process left that died in between. It needs PostgreSQL only.
 *
 * @param queue pool of leasehold_relay
 * @param worker pool of leasehold_worker
 * @param expirer pool of leasehold_expirer
 */
export function startAccessReview({
  queue,
  worker,
  expirer,
  log,
  onEnded,
}: {
  readonly queue: Db
  readonly worker: Db
  readonly expirer: Db
  readonly log: Logger
  readonly onEnded: () => void
}): Loop {
  async function review(duty: Duty): Promise<void> {
    const run = runnerOf(worker, duty.accountId)
    try {
      if ((await reviewRights(run, subjectOf(duty), actor)) > 0) onEnded()
      await recordDelivered(queue, duty)
    } catch (error) {
      const code = error instanceof Error ? error.name : 'unknown'
      const quarantined = await recordFailure(queue, duty, code)
      log.error({ duty: { kind: duty.kind, subjectId: duty.subjectId }, quarantined, code }, 'leases could not be reviewed')
    }
  }

  /** One that somebody holds the lock of is found again in a second, and keeps no other account waiting. */
  async function reviewEnd({ accountId, grantId }: EndedGrant): Promise<void> {
    try {
      await inAccount(worker, accountId, (trx) => reviewEndedGrant(trx, grantId))
    } catch (error) {
      if (error instanceof LeaseholdError && error.code === 'dependency-unavailable') throw error
      log.warn({ grantId, err: error }, 'the end of a grant could not be reviewed')
    }
  }

  return startLoop({
    name: 'access review',
    everyMs: 1_000,
    log,
    turn: async () => {
      for (const grant of await listEndedGrants(expirer, grantBatch)) await reviewEnd(grant)
      const duties = await claimDuties(queue, ['vault_access', 'user_access'], { limit: batch, holdMs })
      for (const duty of duties) await review(duty)
      return duties.length === batch
    },
  })
}

const subjectOf = ({ kind, subjectId }: Duty): AccessSubject =>
  kind === 'vault_access' ? { vaultId: VaultId.parse(subjectId) } : { userId: UserId.parse(subjectId) }
