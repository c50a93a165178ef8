/** Lets at most `size` callers in at a time; the others wait in order. */
export interface Gate {
  /** @throws Error when the gate was failed meanwhile, or after `limitMs` what `late` makes */
  enter(): Promise<void>
  leave(): void
  /** How many wait. */
  waiting(): number
  /** Turns away everybody who waits: what is behind the gate is not there. */
  fail(error: Error): void
}

/**
 * A pool of connections fails callers that wait too long for a connection, whether the server is gone or merely busy. Behind a
 * gate of the pool's size nobody waits in the pool: a busy server makes callers wait here, a missing one turns them all away at once.
 */
export function createGate(size: number, limitMs: number, late: () => Error): Gate {
  let free = size
  const waiting = new Set<{ readonly let: () => void; readonly turnAway: (error: Error) => void }>()
  return {
    enter: () => {
      if (free > 0) {
        free -= 1
        return Promise.resolve()
      }
      return new Promise<void>((resolve, reject) => {
        const caller = {
          let: () => finish(resolve),
          turnAway: (error: Error) => finish(() => reject(error)),
        }
        const timer = setTimeout(() => caller.turnAway(late()), limitMs)
        const finish = (settle: () => void): void => {
          clearTimeout(timer)
          waiting.delete(caller)
          settle()
        }
        waiting.add(caller)
      })
    },
    leave: () => {
      const [next] = waiting
      if (next === undefined) free += 1
      else next.let()
    },
    waiting: () => waiting.size,
    fail: (error) => {
      for (const caller of waiting) caller.turnAway(error)
    },
  }
}
