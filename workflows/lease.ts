import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { LeaseActivities } from '#activities/lease.ts'
import { changeOptions, lookOptions } from './activity-options.ts'
import { nextLeaseStep } from './lease-step.ts'
import type { Subject } from './messages.ts'
import { leasePublisher } from './visibility.ts'
import { listenForPokes, renewWhenLong } from './watch.ts'

const { lookAtLease } = proxyLocalActivities<LeaseActivities>(lookOptions)
const { endExpiredLease } = proxyActivities<LeaseActivities>(changeOptions)

/**
 * Makes the time of a lease pass: waits for its end or for news, ends it when it is due, and stays until the rotation that the
 * end owes is final. It decides nothing: every look at PostgreSQL stands in its history, which therefore tells the whole story.
 */
export async function lease(subject: Subject): Promise<void> {
  const news = listenForPokes()
  const publish = leasePublisher()
  for (;;) {
    news.cover()
    const facts = await lookAtLease(subject)
    publish(facts)
    const step = nextLeaseStep(facts)
    if (step.do === 'finish') return
    if (step.do === 'release') await endExpiredLease(subject, step.version)
    else await news.wait(step.ms)
    await renewWhenLong(subject)
  }
}
