import { LeaseholdError } from '#schemas/errors.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { beginDueRotation, listDueIdentities } from '#store/sweep.ts'

export interface SweepActivities {
  /** Begins the rotations of one page of due identities. `more`: the page was full and something came of it. */
  sweepDueRotations(): Promise<{ begun: number; more: boolean }>
}

const pageSize = 200

/**
 * @param expirer pool of leasehold_expirer: finds what is due in all accounts
 * @param worker pool of leasehold_worker: decides each in its account
 */
export function createSweepActivities({ expirer, worker }: { readonly expirer: Db; readonly worker: Db }): SweepActivities {
  return {
    async sweepDueRotations() {
      const due = await listDueIdentities(expirer, pageSize)
      let begun = 0
      for (const { accountId, identityId } of due) {
        const rotationId = await inAccount(worker, accountId, (trx) => beginDueRotation(trx, identityId)).catch(skipBusy)
        if (rotationId !== undefined) begun += 1
      }
      return { begun, more: due.length === pageSize && begun > 0 }
    },
  }
}

/** Somebody works with the identity right now: the next sweep comes in half an hour, or its release begins the rotation. */
function skipBusy(error: unknown): undefined {
  if (error instanceof LeaseholdError && error.code !== 'dependency-unavailable') return undefined
  throw error
}
