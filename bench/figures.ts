import { performance } from 'node:perf_hooks'

/** What a run of one operation took. */
export interface Figures {
  readonly count: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Operations per second over the time of the runs. */
  readonly rate: number
}

/** Times of single operations, ms, and the time of the run they were part of, ms. */
export interface Run {
  readonly times: readonly number[]
  readonly elapsed: number
}

/**
 * Runs `operation` once per item in `clients` lanes, each lane one operation after the other.
 *
 * @throws whatever an operation throws, once the running ones have ended: a figure of a run with errors would mean nothing
 */
export async function runLanes<Item>(items: readonly Item[], clients: number, operation: (item: Item, lane: number) => Promise<unknown>): Promise<Run> {
  const times: number[] = []
  let next = 0
  let failed = false
  const began = performance.now()
  const lane = async (_: unknown, number: number): Promise<void> => {
    while (next < items.length && !failed) {
      const item = items[next++] as Item
      const start = performance.now()
      await operation(item, number).catch((error: unknown) => {
        failed = true
        throw error
      })
      times.push(performance.now() - start)
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: clients }, lane))
  const error = ends.find((end) => end.status === 'rejected')
  if (error !== undefined) throw error.reason
  return { times, elapsed: performance.now() - began }
}

/** One set of figures over several runs of the same operation. */
export function figuresOf(runs: readonly Run[]): Figures {
  const times = runs.flatMap((run) => run.times).sort((one, other) => one - other)
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  const elapsed = runs.reduce((sum, run) => sum + run.elapsed, 0)
  return { count: times.length, p50: at(0.5), p99: at(0.99), rate: times.length / (elapsed / 1_000) }
}
