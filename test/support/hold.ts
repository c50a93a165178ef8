import type { TestDatabase } from './database.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Transaction } from '#store/connection.ts'

/** A transaction that stands still, with its locks and uncommitted, until it is let go. */
export interface Held<T> {
  /** It has done its work and stands before its commit. */
  readonly reached: Promise<void>
  readonly go: () => void
  /** What it answers after its commit. */
  readonly result: Promise<T>
}

/** Runs `decide` and stops before the commit. */
export function hold<T>(run: <R>(decide: (trx: Transaction) => Promise<R>) => Promise<R>, decide: (trx: Transaction) => Promise<T>): Held<T> {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  const result = run(async (trx) => {
    const done = await decide(trx)
    reached.resolve()
    await opened.promise
    return done
  })
  result.catch(reached.reject)
  return { reached: reached.promise, go: opened.resolve, result }
}

/** Returns once `count` sessions of this database wait for a lock. */
export async function untilWaiting(database: TestDatabase, count = 1): Promise<void> {
  const limit = Date.now() + 5_000
  for (;;) {
    const { rows } = await database.superuser(
      `select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    if (rows[0].waiting >= count) return
    if (Date.now() > limit) throw new Error(`only ${rows[0].waiting} sessions wait for a lock`)
    await sleep(2)
  }
}
