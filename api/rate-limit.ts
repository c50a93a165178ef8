import { createHmac, randomBytes } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'

export interface Rate {
  /** What a key may do in the long run. */
  readonly perSecond: number
  /** What it may do at once after a rest. */
  readonly burst: number
}

/** Lets each key do something at a limited rate, in this process. */
export interface RateLimit {
  /** @throws LeaseholdError `rate-limited` when `take` would; takes nothing */
  check(key: string): void
  /** @throws LeaseholdError `rate-limited` with the seconds until the next token */
  take(key: string): void
}

const rows = 2
const columns = 16_384

/**
 * Token buckets, kept as one number each: the time at which a bucket is full again (the virtual scheduling algorithm of ITU-T
 * I.371, "GCRA"). The table never grows and nothing leaves it: a flood of keys costs no memory and gives nobody a fresh bucket.
 * A key has one bucket in each row and is refused when all of them are empty; which ones they are nobody outside can compute,
 * so a stranger shares both of them with one chance in 268 million.
 *
 * @param now ms; a monotonic clock
 */
export function createRateLimit({ perSecond, burst }: Rate, now: () => number = () => performance.now()): RateLimit {
  const fullAt = new Float64Array(rows * columns).fill(Number.NEGATIVE_INFINITY)
  const secret = randomBytes(32)
  const interval = 1_000 / perSecond
  const depth = burst * interval

  function bucketsOf(key: string): number[] {
    const digest = createHmac('sha256', secret).update(key).digest()
    return Array.from({ length: rows }, (_, row) => row * columns + (digest.readUInt32LE(4 * row) % columns))
  }

  /** When the buckets would be full after one more token. */
  function next(buckets: readonly number[]): number {
    const time = now()
    const after = Math.max(time, Math.min(...buckets.map((bucket) => fullAt[bucket] as number))) + interval
    const wait = after - time - depth
    // A sum of intervals is not exact.
    if (wait > interval / 1_000) throw new LeaseholdError('rate-limited', { retryAfterSeconds: Math.ceil(wait / 1_000) })
    return after
  }

  return {
    check: (key) => void next(bucketsOf(key)),
    take(key) {
      const buckets = bucketsOf(key)
      const after = next(buckets)
      for (const bucket of buckets) fullAt[bucket] = Math.max(fullAt[bucket] as number, after)
    },
  }
}

/**
 * What stands for an address: whoever has one address of IPv6 has a whole /64 of them.
 *
 * @param ip of the peer; absent: all of those count as one
 */
export function addressKey(ip: string | undefined): string {
  const plain = (ip ?? 'unknown').replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  if (!plain.includes(':')) return plain
  const [head = '', tail] = plain.toLowerCase().split('::')
  const groups = (part: string | undefined): string[] => (part === undefined || part === '' ? [] : part.split(':'))
  const missing = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array.from({ length: Math.max(0, missing) }, () => '0'), ...groups(tail)]
  return `${all.slice(0, 4).join(':')}::/64`
}
