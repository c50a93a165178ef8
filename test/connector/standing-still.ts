import { expect, test } from 'vitest'
import type { ChangeOutcome, Login, LoginOutcome, Target } from '#connector/adapters/adapter.ts'
import { startCutProxy } from '../support/cut-proxy.ts'
import type { ConformanceWorld } from './conformance.ts'

/** Longer than an adapter waits for any one answer, ms. */
const patience = 20_000

/** What a target that stands still may not do: keep the connector waiting, or make it believe something. */
export function standingStill(open: () => ConformanceWorld): void {
  const change = (account: Login, target: Target, beforeSend: () => number): Promise<ChangeOutcome> =>
    open().adapter.change(target, { as: open().admin, username: account.username, password: 'set, or never', beforeSend })

  /** Lets the work begin anew for each piece of what the target says, and lets the target stand still after it. */
  async function atEveryPiece(work: (target: Target, piece: number) => Promise<void>): Promise<void> {
    const at = { host: open().at.address, port: open().at.port }
    const whole = await startCutProxy(at)
    await work({ ...open().at, port: whole.port }, Infinity)
    const pieces = Array.from({ length: whole.pieces() }, (_, index) => index + 1)
    await whole.end()
    expect(pieces.length).toBeGreaterThan(1)
    await Promise.all(
      pieces.map(async (piece) => {
        const proxy = await startCutProxy(at, piece)
        await work({ ...open().at, port: proxy.port }, piece).finally(proxy.end)
      }),
    )
  }

  test('a change is given up wherever the target stands still, and is unknown only when it was sent', { timeout: 90_000 }, async () => {
    await atEveryPiece(async (target, piece) => {
      const account = (await open().create()) as Login
      let asked = 0
      const outcome = await inTime(change(account, target, () => (asked++, 6_000)))
      if (asked === 0) expect([piece, outcome]).toEqual([piece, { change: 'unchanged', reasonClass: 'unreachable' }])
      else expect([piece, ['applied', 'unknown'].includes(String(Object(outcome).change))]).toEqual([piece, true])
      if (asked === 0) expect(await open().logsIn(account)).toBe(true)
    })
  })

  test('a login is given up wherever the target stands still, and judges nobody', { timeout: 90_000 }, async () => {
    const account = (await open().create()) as Login
    await atEveryPiece(async (target, piece) => {
      const outcome = await inTime<LoginOutcome>(open().adapter.logIn(target, account))
      expect([piece, ['accepted', 'unclear'].includes(String(Object(outcome).login))]).toEqual([piece, true])
    })
  })

  test('a job that is given up ends its connection at once, and what it had sent is unknown', async () => {
    const account = (await open().create()) as Login
    const proxy = await startCutProxy({ host: open().at.address, port: open().at.port })
    const end = new AbortController()
    const beforeSend = (): number => {
      void proxy.set('freeze')
      setTimeout(() => end.abort(), 100)
      return 15_000
    }
    const begun = performance.now()
    const outcome = await change(account, { ...open().at, port: proxy.port, signal: end.signal }, beforeSend)
    expect(outcome).toEqual({ change: 'unknown', reasonClass: 'interrupted' })
    expect(performance.now() - begun).toBeLessThan(5_000)
    await proxy.end()
    expect(await open().logsIn(account)).toBe(true)
  })
}

/** @returns `waits`: it has not ended, and nobody knows whether it ever will */
async function inTime<T>(work: Promise<T>): Promise<T | 'waits'> {
  let limit: NodeJS.Timeout | undefined
  const tooLong = new Promise<'waits'>((resolve) => {
    limit = setTimeout(() => resolve('waits'), patience)
  })
  return Promise.race([work, tooLong]).finally(() => clearTimeout(limit))
}
