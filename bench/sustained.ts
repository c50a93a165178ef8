import { acme } from '#stack/people.ts'
import type { BareTemporal } from './bare-temporal.ts'
import { watchDuties } from './duty-watch.ts'
import { runLanes, type Run } from './figures.ts'
import type { Requests } from './requests.ts'
import { waitUntilClosed } from './workflow-close.ts'
import type { World } from './world.ts'

/**
 * Whole lives of leases: checkout, its workflow started, checkin, its workflow closed. Every lane waits for the end before it
 * begins the next, so that nothing piles up.
 */
export async function runLeases(
  { superuser }: World,
  requests: Requests,
  { client }: BareTemporal,
  identityIds: readonly string[],
  clients: number,
): Promise<Run & { readonly highestBacklog: number; readonly left: number }> {
  const watch = watchDuties(superuser)
  try {
    const run = await runLanes(identityIds, clients, async (identityId, lane) => {
      const taken = await requests.checkOutOne(identityId, lane)
      await watch.delivered(taken.leaseId, 1)
      await requests.checkInOne(taken)
      await waitUntilClosed(client, `lease:${acme.id}:${taken.leaseId}`)
    })
    return { ...run, highestBacklog: watch.highestBacklog(), left: await watch.backlog() }
  } finally {
    watch.stop()
  }
}
