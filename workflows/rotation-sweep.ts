import { proxyActivities } from '@temporalio/workflow'
import type { SweepActivities, SweepCursor, SweptPage } from '#activities/sweep.ts'
import { changeOptions } from './activity-options.ts'

const { sweepDueRotations } = proxyActivities<SweepActivities>({ ...changeOptions, startToCloseTimeout: '60s' })
const mostPages = 200

/** Begins the rotations that are due, page by page. Started by a schedule (S2: every 30 minutes). @returns how many it began */
export async function rotationSweep(): Promise<number> {
  let begun = 0
  let after: SweepCursor | null = null
  for (let page = 0; page < mostPages; page += 1) {
    const swept: SweptPage = await sweepDueRotations(after)
    begun += swept.begun
    if (swept.next === null) break
    after = swept.next
  }
  return begun
}
