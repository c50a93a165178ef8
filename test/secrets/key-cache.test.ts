import { describe, expect, test, vi } from 'vitest'
import { LeaseholdError } from '#schemas/errors.ts'
import { createKeyCache, type CacheLimits } from '#secrets/key-cache.ts'

const minute = 60_000

/** A cache over a source that counts, can be broken, and a clock that the test moves. */
function world(limits?: Partial<CacheLimits>) {
  const state = { now: 0, fetched: 0, down: false }
  const cache = createKeyCache<string>(limits, () => state.now)
  const source = async (): Promise<string> => {
    state.fetched += 1
    if (state.down) throw new LeaseholdError('dependency-unavailable', { role: 'openbao' })
    return `key ${state.fetched}`
  }
  return { state, get: (name = 'a') => cache(name, source), cache }
}

describe('a key in memory', () => {
  test('is fetched once, however many ask at the same time', async () => {
    const { state, get } = world()
    expect(new Set(await Promise.all(Array.from({ length: 100 }, () => get())))).toEqual(new Set(['key 1']))
    expect(state.fetched).toBe(1)
  })

  test('is kept for five minutes, then fetched again behind the back of its callers', async () => {
    const { state, get } = world()
    await get()
    state.now = 5 * minute - 1
    expect(await get()).toBe('key 1')
    expect(state.fetched).toBe(1)
    state.now = 5 * minute
    expect(await get()).toBe('key 1')
    await vi.waitFor(async () => expect(await get()).toBe('key 2'))
    expect(state.fetched).toBe(2)
  })

  test('serves through an outage until it is fifteen minutes old, and not a moment longer', async () => {
    const { state, get } = world()
    await get()
    state.down = true
    state.now = 15 * minute - 1
    expect(await get()).toBe('key 1')
    state.now = 15 * minute
    await expect(get()).rejects.toMatchObject({ code: 'dependency-unavailable' })
    state.down = false
    expect(await get()).toMatch(/^key/)
  })

  test('is asked for again every five seconds of an outage, not at every call', async () => {
    const { state, get } = world()
    await get()
    state.down = true
    state.now = 6 * minute
    for (let call = 0; call < 50; call += 1) await get()
    expect(state.fetched).toBe(2)
    state.now += 5_000
    await get()
    expect(state.fetched).toBe(3)
  })

  test('that was not there is not remembered as absent', async () => {
    const { state, get } = world()
    state.down = true
    await expect(get()).rejects.toMatchObject({ code: 'dependency-unavailable' })
    state.down = false
    expect(await get()).toBe('key 2')
  })

  test('lets a caller wait no longer than its limit, and is there for the next one', async () => {
    const { cache } = world({ wait: 50 })
    let arrive!: (key: string) => void
    const slow = () => new Promise<string>((resolve) => (arrive = resolve))
    await expect(cache('slow', slow)).rejects.toMatchObject({ code: 'dependency-unavailable', facts: { role: 'openbao' } })
    arrive('late')
    await vi.waitFor(async () => expect(await cache('slow', slow)).toBe('late'))
  })

  test('makes room for others: the one that was fetched longest ago goes first', async () => {
    const { state, get } = world({ size: 2 })
    for (const name of ['a', 'b', 'c']) await get(name)
    await get('b')
    await get('c')
    expect(state.fetched).toBe(3)
    await get('a')
    expect(state.fetched).toBe(4)
  })

  test('is forgotten at its hard stop even when nobody asks', async () => {
    vi.useFakeTimers()
    try {
      const { state, get } = world({ hardStop: minute, refresh: minute / 2 })
      await get()
      expect(vi.getTimerCount()).toBe(1)
      state.now = minute
      vi.advanceTimersByTime(minute)
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})
