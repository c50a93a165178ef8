import { LeaseholdError } from '#schemas/errors.ts'
import { violatedConstraint } from './postgres-error.ts'

/** Turns a violated unique index into `already-exists`, a reference to what is not there into `not-found`. */
export async function refuseDuplicates<T>(statement: Promise<T>): Promise<T> {
  try {
    return await statement
  } catch (error) {
    const constraint = violatedConstraint(error)
    if (constraint === undefined) throw error
    if (constraint.endsWith('_fkey')) throw new LeaseholdError('not-found', {}, { cause: error })
    if ((error as { code?: string }).code === '23505') throw new LeaseholdError('already-exists', {}, { cause: error })
    throw error
  }
}

/**
 * Writes what gets its id from the caller's Idempotency-Key. The lock of the identity lets one request per identity look for a
 * replay, so an id that is taken all the same was taken by a request for another identity.
 *
 * @throws LeaseholdError `idempotency-key-reused`
 */
export async function refuseReusedKey<T>(statement: Promise<T>, keys: readonly string[]): Promise<T> {
  return statement.catch((error: unknown) => {
    const constraint = violatedConstraint(error)
    throw constraint !== undefined && keys.includes(constraint) ? new LeaseholdError('idempotency-key-reused', {}, { cause: error as Error }) : error
  })
}

/**
 * @param expected from If-Match (RFC 9110 13.1.1); absent: the caller takes any version
 * @throws LeaseholdError `precondition-failed`
 */
export function expectVersion(actual: number, expected: number | undefined): void {
  if (expected !== undefined && expected !== actual) throw new LeaseholdError('precondition-failed')
}

/** @throws LeaseholdError `validation-failed` when there are faults */
export function refuseFaults(faults: readonly { readonly path: string; readonly message: string }[]): void {
  if (faults.length > 0) throw new LeaseholdError('validation-failed', { errors: faults })
}
