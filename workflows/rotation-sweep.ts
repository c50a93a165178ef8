import { proxyActivities } from '@temporalio/workflow'
import type { SweepActivities } from '#activities/sweep.ts'
import { changeOptions } from './activity-options.ts'

const { sweepDueRotations } = proxyActivities<SweepActivities>({ ...changeOptions, startToCloseTimeout: '60s' })
const pages = 100

/** Begins the rotations that are due, page by page. Started by a schedule (S2: every 30 minutes). @returns how many it began */
export async function rotationSweep(): Promise<number> {
  let begun = 0
  for (let page = 0; page < pages; page += 1) {
    const swept = await sweepDueRotations()
    begun += swept.begun
    if (!swept.more) break
  }
  return begun
}
