import { proxyActivities, sleep } from '@temporalio/workflow'
import type { SweepActivities, SweepCursor, SweptPage } from '#activities/sweep.ts'
import { changeOptions } from './activity-options.ts'

const { sweepDueRotations, sweepDueChecks } = proxyActivities<SweepActivities>({ ...changeOptions, startToCloseTimeout: '60s' })
const mostPages = 200

/** Begins the rotations that are due, page by page. Started by a schedule (S2: every 30 minutes). @returns how many it began */
export const rotationSweep = (): Promise<number> => sweep(sweepDueRotations)

/** The same for checks of stored credentials. */
export const checkSweep = (): Promise<number> => sweep(sweepDueChecks)

/** Nobody waits half an hour because the database was busy for a second. */
const passes = 3
const pause = '30s'

async function sweep(page: (after: SweepCursor | null) => Promise<SweptPage>): Promise<number> {
  let begun = 0
  for (let pass = 1; pass <= passes; pass += 1) {
    const swept = await sweepAll(page)
    begun += swept.begun
    if (swept.passedOver === 0) break
    if (pass < passes) await sleep(pause)
  }
  return begun
}

async function sweepAll(page: (after: SweepCursor | null) => Promise<SweptPage>): Promise<{ readonly begun: number; readonly passedOver: number }> {
  const count = { begun: 0, passedOver: 0 }
  let after: SweepCursor | null = null
  for (let pages = 0; pages < mostPages; pages += 1) {
    const swept: SweptPage = await page(after)
    count.begun += swept.begun
    count.passedOver += swept.busy + swept.failed
    if (swept.next === null) break
    after = swept.next
  }
  return count
}
