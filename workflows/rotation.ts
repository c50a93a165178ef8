import { ActivityFailure, isCancellation, proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { RotationActivities } from '#activities/rotation.ts'
import { changeOptions, lookOptions, makeOptions } from './activity-options.ts'
import type { Subject } from './messages.ts'
import { nextRotationStep, type RotationStep } from './rotation-step.ts'
import { rotationPublisher } from './visibility.ts'
import { listenForPokes, renewWhenLong, type News } from './watch.ts'

const { lookAtRotation } = proxyLocalActivities<RotationActivities>(lookOptions)
const change = proxyActivities<RotationActivities>(changeOptions)
const make = proxyActivities<RotationActivities>(makeOptions)
/** ms between a value that could not be made and the next look. */
const makeAgain = 30_000

/**
 * Brings a rotation to its end: stages the new value, opens one job per host, gives up claims that lapsed, calls for a person
 * when a doubt lasts. Offers, claims and results travel between bridge and connector; this workflow only sees their rows.
 */
export async function rotation(subject: Subject): Promise<void> {
  const news = listenForPokes()
  const publish = rotationPublisher()
  for (;;) {
    news.cover()
    const facts = await lookAtRotation(subject)
    publish(facts)
    const step = nextRotationStep(facts)
    if (step.do === 'finish') return
    await take(step, subject, news)
    await renewWhenLong(subject)
  }
}

async function take(step: RotationStep, subject: Subject, news: News): Promise<void> {
  switch (step.do) {
    case 'stage':
      return stage(subject, news)
    case 'open-jobs':
      return change.openRotationJobs(subject)
    case 'raise-attention':
      return change.raiseRotationAttention(subject)
    case 'tell-stuck':
      return change.tellRotationStuck(subject)
    case 'settle':
      return change.settleRotation(subject)
    case 'lapse':
      return change.lapseClaim(subject, step.jobId, step.epoch)
    case 'wait':
      return news.wait(step.ms)
    case 'finish':
      return
  }
}

/** Without a value (no OpenBao, no organization secret) the loop goes on, so that people are told when it lasts. */
async function stage(subject: Subject, news: News): Promise<void> {
  try {
    await make.stageRotation(subject)
  } catch (error) {
    if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error
    await news.wait(makeAgain)
  }
}
