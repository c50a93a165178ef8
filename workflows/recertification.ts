import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { RecertificationActivities } from '#activities/recertification.ts'
import { changeOptions, lookOptions } from './activity-options.ts'
import type { Subject } from './messages.ts'
import { nextRecertificationStep } from './recertification-step.ts'
import { listenForPokes, renewWhenLong } from './watch.ts'

const { lookAtRecertification } = proxyLocalActivities<RecertificationActivities>(lookOptions)
const { remindOfRecertification, settleRecertification } = proxyActivities<RecertificationActivities>(changeOptions)

/**
 * Makes the time of a recertification pass: a reminder before its end, and then what silence does, batch by batch. It is not what keeps
 * anybody from deciding too late: every decision reads the clock itself.
 */
export async function recertification(subject: Subject): Promise<void> {
  const news = listenForPokes()
  for (;;) {
    news.cover()
    const step = nextRecertificationStep(await lookAtRecertification(subject))
    if (step.do === 'finish') return
    if (step.do === 'wait') await news.wait(step.ms)
    else if (step.do === 'remind') await remindOfRecertification(subject)
    else await settleRecertification(subject)
    await renewWhenLong(subject)
  }
}
