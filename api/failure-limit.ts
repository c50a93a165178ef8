import { LeaseholdError } from '#schemas/errors.ts'

const window = 60_000
const maximumKeys = 10_000

/** Counts failures per key over a sliding minute, in this process. */
export interface FailureLimit {
  /** @throws LeaseholdError `rate-limited` */
  check(key: string): void
  record(key: string): void
}

/**
 * @param perMinute failures that a key may have
 * @param now ms; a monotonic clock
 */
export function createFailureLimit(perMinute: number, now: () => number = () => performance.now()): FailureLimit {
  const failures = new Map<string, number[]>()
  const recent = (key: string): number[] => (failures.get(key) ?? []).filter((at) => at > now() - window)
  return {
    check(key) {
      const [first, ...rest] = recent(key)
      if (first === undefined || rest.length + 1 < perMinute) return
      throw new LeaseholdError('rate-limited', { retryAfterSeconds: Math.ceil((first + window - now()) / 1_000) })
    },
    record(key) {
      const counted = [...recent(key), now()]
      failures.delete(key)
      failures.set(key, counted)
      // The oldest key goes first: a flood of addresses costs memory only up to here.
      for (const oldest of failures.keys()) {
        if (failures.size <= maximumKeys) break
        failures.delete(oldest)
      }
    },
  }
}
