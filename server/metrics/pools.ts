import { Gauge, type Registry } from 'prom-client'
import { poolState, type Db } from '#store/connection.ts'

type Pools = Readonly<Record<string, Db>>

const watched = new WeakMap<Registry, Map<string, Db>>()

/** Shows how full these connection pools are. @param pools name of the database role -> its pool */
export function watchPools(registry: Registry, pools: Pools): void {
  const all = watched.get(registry) ?? new Map<string, Db>()
  for (const [name, db] of Object.entries(pools)) all.set(name, db)
  if (watched.has(registry)) return
  watched.set(registry, all)
  const show = (name: string, help: string, of: keyof ReturnType<typeof poolState>): void => {
    const figure = new Gauge({
      name,
      help,
      labelNames: ['pool'],
      registers: [],
      collect() {
        for (const [pool, db] of all) this.set({ pool }, poolState(db)[of])
      },
    })
    registry.registerMetric(figure)
  }
  show('leasehold_pool_connections', 'Open connections of a pool', 'size')
  show('leasehold_pool_busy_connections', 'Connections that work for somebody', 'busy')
  show('leasehold_pool_waiting_callers', 'Callers that wait for a connection', 'waiting')
}
