import { proxyActivities } from '@temporalio/workflow'
import type { SweepActivities, SweepCursor, SweptPage } from '#activities/sweep.ts'
import { changeOptions } from './activity-options.ts'

const { sweepDueRotations, sweepDueChecks } = proxyActivities<SweepActivities>({ ...changeOptions, startToCloseTimeout: '60s' })
const mostPages = 200

/** Begins the rotations that are due, page by page. Started by a schedule (S2: every 30 minutes). @returns how many it began */
export const rotationSweep = (): Promise<number> => sweep(sweepDueRotations)

/** The same for checks of stored credentials. */
export const checkSweep = (): Promise<number> => sweep(sweepDueChecks)

async function sweep(page: (after: SweepCursor | null) => Promise<SweptPage>): Promise<number> {
  let begun = 0
  let after: SweepCursor | null = null
  for (let pages = 0; pages < mostPages; pages += 1) {
    const swept: SweptPage = await page(after)
    begun += swept.begun
    if (swept.next === null) break
    after = swept.next
  }
  return begun
}
