import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { SupportAccessActivities } from '#activities/support-access.ts'
import { changeOptions, lookOptions } from './activity-options.ts'
import type { Subject } from './messages.ts'
import { nextSupportAccessStep } from './support-access-step.ts'
import { listenForPokes, renewWhenLong } from './watch.ts'

const { lookAtSupportAccess } = proxyLocalActivities<SupportAccessActivities>(lookOptions)
const { remindOfSupportAccess, expireSupportAccess } = proxyActivities<SupportAccessActivities>(changeOptions)

/**
 * Makes the time of a support window pass: reminders while it is open, its end when it has one. It is not what keeps anybody out:
 * every use reads the row itself.
 */
export async function supportAccess(subject: Subject): Promise<void> {
  const news = listenForPokes()
  for (;;) {
    news.cover()
    const step = nextSupportAccessStep(await lookAtSupportAccess(subject))
    if (step.do === 'finish') return
    if (step.do === 'wait') await news.wait(step.ms)
    else if (step.do === 'expire') await expireSupportAccess(subject, step.version)
    else await remindOfSupportAccess(subject)
    await renewWhenLong(subject)
  }
}
