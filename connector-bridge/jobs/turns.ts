import type { Logger } from 'pino'
import type { ConnectorId } from '#schemas/ids.ts'

/** Who of the connectors is answered when: none of them takes what is there for all. */
export interface Turns {
  /** Does the work in its turn. @returns undefined: too many of this connector wait already, and nothing was done */
  readonly take: <T>(connectorId: ConnectorId, work: () => Promise<T>) => Promise<T | undefined>
}

/** Messages of one connector that are worked on at once; it has no more jobs than that. */
const atOnce = 16
/** Messages of one connector that wait for those. */
const mostWaiting = 64
/** Between two lines of the log about one connector, ms. */
const silence = 10_000

interface Queue {
  working: number
  readonly waiting: (() => void)[]
}

export function createTurns(log: Logger): Turns {
  const queues = new Map<ConnectorId, Queue>()
  const report = createReport(log)
  return {
    take: async (connectorId, work) => {
      const queue = queues.get(connectorId) ?? { working: 0, waiting: [] }
      if (queue.waiting.length >= mostWaiting) {
        report(connectorId)
        return undefined
      }
      queues.set(connectorId, queue)
      if (queue.working < atOnce) queue.working++
      else await new Promise<void>((resolve) => queue.waiting.push(resolve))
      try {
        return await work()
      } finally {
        // Its place goes to whoever waits first.
        const next = queue.waiting.shift()
        if (next !== undefined) next()
        else if (--queue.working === 0) queues.delete(connectorId)
      }
    },
  }
}

/** Counts who is turned away, and logs it now and then instead of each time. */
function createReport(log: Logger): (connectorId: ConnectorId) => void {
  const counts = new Map<ConnectorId, { turnedAway: number; loggedAt: number }>()
  return (connectorId) => {
    const now = performance.now()
    const count = counts.get(connectorId) ?? { turnedAway: 0, loggedAt: -silence }
    counts.set(connectorId, count)
    count.turnedAway++
    if (now - count.loggedAt < silence) return
    log.warn({ connectorId, turnedAway: count.turnedAway }, 'a connector says more than it is answered')
    Object.assign(count, { turnedAway: 0, loggedAt: now })
  }
}
