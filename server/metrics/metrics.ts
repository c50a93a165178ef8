import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'

/** Figures of one process in the text format of Prometheus. Every role in it adds its own. */
export interface Metrics {
  readonly registry: Registry
  /**
   * Adds gauges that are read from PostgreSQL at a scrape, at most every 3 s.
   *
   * @param role database role that reads, for `leasehold_database_up`
   * @param publish takes what was read; undefined: PostgreSQL does not answer, and old figures must not look like new ones
   */
  readonly readAtScrape: <T>(role: string, read: () => Promise<T>, publish: (figures: T | undefined) => void) => void
  /** Never fails and takes at most about 2 s, whatever PostgreSQL does. */
  readonly render: () => Promise<string>
}

export const contentType = Registry.PROMETHEUS_CONTENT_TYPE
const cacheMs = 3_000
const readLimit = 2_000

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const up = new Gauge({
    name: 'leasehold_database_up',
    help: 'Whether PostgreSQL answered this database role at the last scrape',
    labelNames: ['role'],
    registers: [registry],
  })
  const readers: (() => Promise<void>)[] = []
  return {
    registry,
    readAtScrape: (role, read, publish) => {
      let readAt = Number.NEGATIVE_INFINITY
      let reading: Promise<void> | undefined
      const refresh = async (): Promise<void> => {
        const figures = await within(readLimit, read()).catch(() => undefined)
        publish(figures)
        up.set({ role }, figures === undefined ? 0 : 1)
        readAt = performance.now()
        reading = undefined
      }
      readers.push(() => {
        if (performance.now() - readAt >= cacheMs) reading ??= refresh()
        return reading ?? Promise.resolve()
      })
    },
    render: async () => {
      await Promise.all(readers.map((refresh) => refresh()))
      return registry.metrics()
    },
  }
}

async function within<T>(ms: number, reading: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('PostgreSQL does not answer')), ms)
  })
  return Promise.race([reading, late]).finally(() => clearTimeout(timer))
}
