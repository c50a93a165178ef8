import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { BreakGlassReviewActivities } from '#activities/break-glass-review.ts'
import { changeOptions, lookOptions } from './activity-options.ts'
import { nextBreakGlassReviewStep } from './break-glass-review-step.ts'
import type { Subject } from './messages.ts'
import { reviewPublisher } from './visibility.ts'
import { listenForPokes, renewWhenLong } from './watch.ts'

const { lookAtBreakGlassReview } = proxyLocalActivities<BreakGlassReviewActivities>(lookOptions)
const { remindOfBreakGlassReview } = proxyActivities<BreakGlassReviewActivities>(changeOptions)

/** Stays with an emergency use until somebody has signed its review, and brings it back to mind until then. */
export async function breakGlassReview(subject: Subject): Promise<void> {
  const news = listenForPokes()
  const publish = reviewPublisher()
  for (;;) {
    news.cover()
    const facts = await lookAtBreakGlassReview(subject)
    publish(facts)
    const step = nextBreakGlassReviewStep(facts)
    if (step.do === 'finish') return
    if (step.do === 'remind') await remindOfBreakGlassReview(subject, step.reminders)
    else await news.wait(step.ms)
    await renewWhenLong(subject)
  }
}
