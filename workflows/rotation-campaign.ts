import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { RotationCampaignActivities } from '#activities/rotation-campaign.ts'
import { changeOptions, lookOptions } from './activity-options.ts'
import type { Subject } from './messages.ts'
import { nextRotationCampaignStep } from './rotation-campaign-step.ts'
import { listenForPokes, renewWhenLong } from './watch.ts'

const { lookAtRotationCampaign } = proxyLocalActivities<RotationCampaignActivities>(lookOptions)
const { beginCampaignRotations, endRotationCampaign } = proxyActivities<RotationCampaignActivities>(changeOptions)

/**
 * Begins the rotations of a campaign, a few at a time, until each of its identities is done, and then ends it. The rotations have
 * workflows of their own; the end of each is news here.
 */
export async function rotationCampaign(subject: Subject): Promise<void> {
  const news = listenForPokes()
  for (;;) {
    news.cover()
    const step = nextRotationCampaignStep(await lookAtRotationCampaign(subject))
    if (step.do === 'finish') return
    if (step.do === 'wait') await news.wait(step.ms)
    else if (step.do === 'begin') await beginCampaignRotations(subject)
    else await endRotationCampaign(subject)
    await renewWhenLong(subject)
  }
}
