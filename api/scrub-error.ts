import { LeaseholdError } from '#schemas/errors.ts'

export interface ScrubbedError {
  readonly name: string
  readonly code?: string
  readonly message?: string
  readonly stack?: readonly string[]
  readonly cause?: ScrubbedError
}

/** An error for the log of the process: names, codes and places. Messages of foreign errors may quote what a caller sent, so they are dropped. */
export function scrubError(error: unknown, depth = 3): ScrubbedError {
  if (!(error instanceof Error)) return { name: typeof error }
  const { code } = error as { code?: unknown }
  const stack = error.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 12)
    .map((line) => line.trim())
  return {
    name: error.name,
    ...(typeof code === 'string' ? { code: code.slice(0, 64) } : {}),
    ...(error instanceof LeaseholdError ? { message: error.message } : {}),
    ...(stack === undefined ? {} : { stack }),
    ...(error.cause === undefined || depth === 0 ? {} : { cause: scrubError(error.cause, depth - 1) }),
  }
}
