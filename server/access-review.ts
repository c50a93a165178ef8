import type { Logger } from 'pino'
import { UserId, VaultId } from '#schemas/ids.ts'
import { reviewLeases, type AccessSubject } from '#store/access-review.ts'
import { runnerOf, type Db } from '#store/connection.ts'
import { claimDuties, recordDelivered, recordFailure, type Duty } from '#store/duties.ts'
import { startLoop, type Loop } from './loop.ts'

const batch = 20
const holdMs = 30_000

/**
 * Ends leases whose holders have lost their right to them. Mostly whoever took the right away has ended them before; this
 * finishes what a process left that died in between. It needs PostgreSQL only.
 *
 * @param queue pool of leasehold_relay
 * @param worker pool of leasehold_worker
 */
export function startAccessReview({
  queue,
  worker,
  log,
  onEnded,
}: {
  readonly queue: Db
  readonly worker: Db
  readonly log: Logger
  readonly onEnded: () => void
}): Loop {
  async function review(duty: Duty): Promise<void> {
    const run = runnerOf(worker, duty.accountId)
    try {
      if ((await reviewLeases(run, subjectOf(duty), { kind: 'system', id: 'access-review' })) > 0) onEnded()
      await recordDelivered(queue, duty)
    } catch (error) {
      const code = error instanceof Error ? error.name : 'unknown'
      const quarantined = await recordFailure(queue, duty, code)
      log.error({ duty: { kind: duty.kind, subjectId: duty.subjectId }, quarantined, code }, 'leases could not be reviewed')
    }
  }

  return startLoop({
    name: 'access review',
    everyMs: 1_000,
    log,
    turn: async () => {
      const duties = await claimDuties(queue, ['vault_access', 'user_access'], { limit: batch, holdMs })
      for (const duty of duties) await review(duty)
      return duties.length === batch
    },
  })
}

const subjectOf = ({ kind, subjectId }: Duty): AccessSubject =>
  kind === 'vault_access' ? { vaultId: VaultId.parse(subjectId) } : { userId: UserId.parse(subjectId) }
