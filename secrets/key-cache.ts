import { LeaseholdError } from '#schemas/errors.ts'

/** Durations in ms. */
export interface CacheLimits {
  /** From this age on a key is fetched again behind the back of its callers. */
  readonly refresh: number
  /** At this age a key is gone, whatever OpenBao does. */
  readonly hardStop: number
  /** Longest wait of a caller; the fetch itself goes on and fills the cache. */
  readonly wait: number
  /** Between two attempts to refresh, so that an outage is not a storm. */
  readonly retry: number
  /** Keys kept at once. */
  readonly size: number
}

const defaults: CacheLimits = { refresh: 300_000, hardStop: 900_000, wait: 1_800, retry: 5_000, size: 10_000 }

interface Kept<K> {
  readonly key: K
  readonly since: number
  refreshAt: number
}

export type KeyCache<K> = (name: string, fetch: () => Promise<K>) => Promise<K>

/**
 * Keys in memory, so that checkouts go on through a short outage of OpenBao. Each is fetched once however many ask.
 *
 * @param clock ms, monotonic
 */
export function createKeyCache<K>(limits: Partial<CacheLimits> = {}, clock: () => number = () => performance.now()): KeyCache<K> {
  const { refresh, hardStop, wait, retry, size } = { ...defaults, ...limits }
  // In the order of their age, because a key that is fetched again moves to the end.
  const kept = new Map<string, Kept<K>>()
  const fetching = new Map<string, Promise<K>>()
  let sweep: NodeJS.Timeout | undefined

  function keep(name: string, key: K): K {
    kept.delete(name)
    kept.set(name, { key, since: clock(), refreshAt: clock() + refresh })
    const oldest = kept.keys().next().value
    if (kept.size > size && oldest !== undefined) kept.delete(oldest)
    sweep ??= setInterval(forgetOld, hardStop / 15).unref()
    return key
  }

  /** Keys that nobody asks for do not stay in memory either. */
  function forgetOld(): void {
    for (const [name, { since }] of kept) if (clock() - since >= hardStop) kept.delete(name)
    if (kept.size > 0) return
    clearInterval(sweep)
    sweep = undefined
  }

  function fetchOnce(name: string, fetch: () => Promise<K>): Promise<K> {
    const running = fetching.get(name)
    if (running !== undefined) return running
    const fetched = fetch()
      .then((key) => keep(name, key))
      .finally(() => fetching.delete(name))
    fetching.set(name, fetched)
    return fetched
  }

  return async (name, fetch) => {
    const hit = kept.get(name)
    if (hit === undefined || clock() - hit.since >= hardStop) return within(wait, fetchOnce(name, fetch))
    if (clock() >= hit.refreshAt) {
      hit.refreshAt = clock() + retry
      // Nobody waits for it; when it fails the key in hand is still good.
      fetchOnce(name, fetch).catch(() => {})
    }
    return hit.key
  }
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new LeaseholdError('dependency-unavailable', { role: 'openbao', retryAfterSeconds: 2 })), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
