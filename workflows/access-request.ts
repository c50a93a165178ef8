import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { AccessRequestActivities } from '#activities/access-request.ts'
import { nextAccessRequestStep } from './access-request-step.ts'
import { changeOptions, lookOptions } from './activity-options.ts'
import type { Subject } from './messages.ts'
import { accessRequestPublisher } from './visibility.ts'
import { listenForPokes, renewWhenLong } from './watch.ts'

const { lookAtAccessRequest } = proxyLocalActivities<AccessRequestActivities>(lookOptions)
const { escalateAccessRequest, expireAccessRequest } = proxyActivities<AccessRequestActivities>(changeOptions)

/**
 * Makes the time of an access request pass: tells others when its approvers are silent, and the requester when nobody has decided
 * or the approval was not used in time. It decides nothing: who agreed and who may check out stands in PostgreSQL.
 */
export async function accessRequest(subject: Subject): Promise<void> {
  const news = listenForPokes()
  const publish = accessRequestPublisher()
  for (;;) {
    news.cover()
    const facts = await lookAtAccessRequest(subject)
    publish(facts)
    const step = nextAccessRequestStep(facts)
    if (step.do === 'finish') return
    if (step.do === 'wait') await news.wait(step.ms)
    else if (step.do === 'escalate') await escalateAccessRequest(subject)
    else await expireAccessRequest(subject)
    await renewWhenLong(subject)
  }
}
