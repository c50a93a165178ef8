import { pino, type Logger } from 'pino'
import type { Config } from './config.ts'

/**
 * JSON lines on stdout. Secrets are `Secret<T>` and print as `[secret]`; an error is logged by name, code and stack, never with
 * the properties that drivers hang on it (statements, parameters, responses).
 */
export function createLog(config: Config, role: string): Logger {
  return pino({ level: config.logLevel, base: { role, pid: process.pid }, serializers: { err: scrubError } })
}

function scrubError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error }
  const { code } = error as { code?: unknown }
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...(typeof code === 'string' ? { code } : {}),
    ...(error.cause === undefined ? {} : { cause: scrubError(error.cause) }),
  }
}
