import { LeaseholdError } from '#schemas/errors.ts'
import { Silence } from './patience.ts'

/** SQLSTATE classes that mean "PostgreSQL is not there": connection exceptions, operator intervention, resources, system. */
const unavailableClasses = new Set(['08', '53', '57', '58'])
const busyStates = new Set(['55P03', '40P01', '40001', '25P04', '25P03', '57014'])
const networkCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENOENT'])

/** Translates what the driver throws; everything that is ours already passes through. */
export function translateError(error: unknown): unknown {
  if (error instanceof LeaseholdError || !(error instanceof Error)) return error
  const code = (error as { code?: unknown }).code
  if (typeof code === 'string' && busyStates.has(code)) return new LeaseholdError('busy', { retryAfterSeconds: 1 }, { cause: error })
  if (error instanceof Silence || isUnavailable(code, error.message)) {
    return new LeaseholdError('dependency-unavailable', { role: 'postgres', retryAfterSeconds: 2 }, { cause: error })
  }
  return error
}

/** Name of the violated constraint, when that is why the statement failed. */
export function violatedConstraint(error: unknown): string | undefined {
  const { code, constraint } = (error ?? {}) as { code?: unknown; constraint?: unknown }
  return typeof code === 'string' && code.startsWith('23') && typeof constraint === 'string' ? constraint : undefined
}

function isUnavailable(code: unknown, message: string): boolean {
  if (typeof code === 'string') return networkCodes.has(code) || (code.length === 5 && unavailableClasses.has(code.slice(0, 2)))
  return /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/i.test(message)
}
