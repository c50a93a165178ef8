import { LeaseholdError } from '#schemas/errors.ts'
import { IdentityId } from '#schemas/ids.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { beginDueRotation, listDueIdentities, type DueIdentity } from '#store/sweep.ts'

/** The last identity of a page. */
export interface SweepCursor {
  /** Timestamp as PostgreSQL writes it. */
  readonly dueAt: string
  readonly identityId: string
}

export interface SweptPage {
  readonly begun: number
  /** Identities that somebody works with right now; a later sweep, or their release, begins the rotation. */
  readonly busy: number
  /** Identities whose rotation could not be begun for a reason of their own; the next sweep tries again. */
  readonly failed: number
  /** Where the next page begins; null: this was the last one. */
  readonly next: SweepCursor | null
}

export interface SweepActivities {
  /** Begins the rotations of one page of due identities. */
  sweepDueRotations(after: SweepCursor | null): Promise<SweptPage>
}

const defaultPageSize = 200

/**
 * @param expirer pool of leasehold_expirer: finds what is due in all accounts
 * @param worker pool of leasehold_worker: decides each in its account
 */
export function createSweepActivities({
  expirer,
  worker,
  pageSize = defaultPageSize,
}: {
  readonly expirer: Db
  readonly worker: Db
  readonly pageSize?: number
}): SweepActivities {
  const begin = ({ accountId, identityId }: DueIdentity) =>
    inAccount(worker, accountId, (trx) => beginDueRotation(trx, identityId)).then(
      (rotationId) => (rotationId === undefined ? ('nothing' as const) : ('begun' as const)),
      passOver,
    )

  return {
    async sweepDueRotations(after) {
      const due = await listDueIdentities(
        expirer,
        pageSize,
        after === null ? undefined : { dueAt: after.dueAt, identityId: IdentityId.parse(after.identityId) },
      )
      const count = { begun: 0, nothing: 0, busy: 0, failed: 0 }
      for (const item of due) count[await begin(item)] += 1
      const last = due.length === pageSize ? due.at(-1) : undefined
      return {
        begun: count.begun,
        busy: count.busy,
        failed: count.failed,
        next: last === undefined ? null : { dueAt: last.dueAt, identityId: last.identityId },
      }
    },
  }
}

/** One identity that cannot be rotated now must not keep the others from it; without PostgreSQL none can be. */
function passOver(error: unknown): 'busy' | 'failed' {
  if (!(error instanceof LeaseholdError)) return 'failed'
  if (error.code === 'dependency-unavailable') throw error
  return 'busy'
}
