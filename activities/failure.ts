import { ApplicationFailure } from '@temporalio/common'
import { errors, LeaseholdError } from '#schemas/errors.ts'

/**
 * What Temporal is told of an error: its code as the type, so that histories stay readable, and never its own words.
 * Codes that the table calls retryable are retried, other refusals are not, and what is not ours may pass.
 */
export function toFailure(error: unknown): ApplicationFailure {
  if (error instanceof LeaseholdError) {
    const { title, retryable } = errors[error.code]
    return ApplicationFailure.create({ type: error.code, message: title, nonRetryable: !retryable })
  }
  return ApplicationFailure.create({ type: 'internal', message: errors.internal.title, nonRetryable: false })
}
