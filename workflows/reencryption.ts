import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { ReencryptionActivities, ReencryptionPage } from '#activities/reencryption.ts'
import { changeOptions, lookOptions } from './activity-options.ts'
import type { Subject } from './messages.ts'
import { listenForPokes, renewWhenLong } from './watch.ts'

const { lookAtReencryption } = proxyLocalActivities<ReencryptionActivities>(lookOptions)
const { resealPage, finishReencryption } = proxyActivities<ReencryptionActivities>(changeOptions)

/**
 * Seals everything of an organization under the newest version of its secret: passes over all that is stored, page by page,
 * until a pass finds nothing. A value that somebody stores under an older key meanwhile is met by the next pass.
 */
export async function reencryption(subject: Subject): Promise<void> {
  listenForPokes()
  if ((await lookAtReencryption(subject)).state === 'done') return
  for (let resealed = 1; resealed > 0;) {
    resealed = 0
    let after: ReencryptionPage['next'] = null
    do {
      const page: ReencryptionPage = await resealPage(subject, after)
      resealed += page.resealed
      after = page.next
      await renewWhenLong(subject)
    } while (after !== null)
  }
  await finishReencryption(subject)
}
