import { LeaseholdError } from '#schemas/errors.ts'
import { createGate, type Gate } from '#store/gate.ts'

/** Runs work on a subject while at most `width` others do; the rest wait in order, without a connection of the pool. */
export type Lanes = <T>(subject: string, work: () => Promise<T>) => Promise<T>

/**
 * Who waits for the lock of one identity must not hold a connection that somebody else needs for another identity: without
 * lanes, as many waiters as the pool has connections stop everybody.
 *
 * @param width how many of one subject may use a connection at once
 * @param limitMs how long the others wait; then `work` fails with LeaseholdError `busy`
 */
export function createLanes(width: number, limitMs: number): Lanes {
  const lanes = new Map<string, { readonly gate: Gate; users: number }>()
  return async (subject, work) => {
    const lane = lanes.get(subject) ?? { gate: createGate(width, limitMs, () => new LeaseholdError('busy', { retryAfterSeconds: 1 })), users: 0 }
    lanes.set(subject, lane)
    lane.users += 1
    try {
      await lane.gate.enter()
      return await work().finally(lane.gate.leave)
    } finally {
      lane.users -= 1
      if (lane.users === 0) lanes.delete(subject)
    }
  }
}
