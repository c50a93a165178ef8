import { LeaseholdError } from '#schemas/errors.ts'
import { IdentityId } from '#schemas/ids.ts'
import { beginDueCheck } from '#store/check-sweep.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { beginDueRotation, listDueIdentities } from '#store/sweep.ts'

/** The last identity of a page. */
export interface SweepCursor {
  /** Timestamp as PostgreSQL writes it. */
  readonly dueAt: string
  readonly identityId: string
}

export interface SweptPage {
  readonly begun: number
  /** Identities that somebody works with right now; a later sweep, or the release of a lease, comes back to them. */
  readonly busy: number
  /** Identities for which nothing could be begun for a reason of their own; the next sweep tries again. */
  readonly failed: number
  /** Where the next page begins; null: this was the last one. */
  readonly next: SweepCursor | null
}

export interface SweepActivities {
  /** Begins the rotations of one page of due identities. */
  sweepDueRotations(after: SweepCursor | null): Promise<SweptPage>
  /** Begins the checks of one page of due identities. */
  sweepDueChecks(after: SweepCursor | null): Promise<SweptPage>
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
  const sweep =
    (what: 'next_rotation_at' | 'next_check_at', begin: (trx: Transaction, identityId: IdentityId) => Promise<boolean>) =>
    async (after: SweepCursor | null): Promise<SweptPage> => {
      const place = after === null ? undefined : { dueAt: after.dueAt, identityId: IdentityId.parse(after.identityId) }
      const due = await listDueIdentities(expirer, pageSize, place, what)
      const count = { begun: 0, nothing: 0, busy: 0, failed: 0 }
      for (const { accountId, identityId } of due) {
        const outcome = await inAccount(worker, accountId, (trx) => begin(trx, identityId)).then((begun) => (begun ? 'begun' : 'nothing'), passOver)
        count[outcome] += 1
      }
      const last = due.length === pageSize ? due.at(-1) : undefined
      return {
        begun: count.begun,
        busy: count.busy,
        failed: count.failed,
        next: last === undefined ? null : { dueAt: last.dueAt, identityId: last.identityId },
      }
    }

  return {
    sweepDueRotations: sweep('next_rotation_at', async (trx, identityId) => (await beginDueRotation(trx, identityId)) !== undefined),
    sweepDueChecks: sweep('next_check_at', beginDueCheck),
  }
}

/** One identity that cannot be rotated or checked now must not keep the others from it; without PostgreSQL none can be. */
function passOver(error: unknown): 'busy' | 'failed' {
  if (!(error instanceof LeaseholdError)) return 'failed'
  if (error.code === 'dependency-unavailable') throw error
  return 'busy'
}
