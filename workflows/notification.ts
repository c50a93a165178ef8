import { proxyActivities, proxyLocalActivities, workflowInfo } from '@temporalio/workflow'
import type { NotificationActivities } from '#activities/notification.ts'
import { lookOptions, sendOptions } from './activity-options.ts'
import { idleLook } from './lease-step.ts'
import { sendQueueOf, type Subject } from './messages.ts'
import { nextNotificationStep } from './notification-step.ts'
import { listenForPokes, renewWhenLong } from './watch.ts'

const { lookAtNotice } = proxyLocalActivities<NotificationActivities>(lookOptions)

/**
 * Sends what is left of a notice until every message is delivered or given up. When each is tried again stands in PostgreSQL;
 * attempts run beside each other, so that a receiver that hangs delays nobody else's.
 */
export async function notification(subject: Subject): Promise<void> {
  const { deliverNotice } = proxyActivities<NotificationActivities>({ ...sendOptions, taskQueue: sendQueueOf(workflowInfo().taskQueue) })
  const news = listenForPokes()
  const sending = new Set<string>()
  const begin = async (deliveryId: string): Promise<void> => {
    sending.add(deliveryId)
    // What is left undone by a failure is still pending, and found by the next look.
    await deliverNotice(subject, deliveryId).catch(() => {})
    sending.delete(deliveryId)
    news.add()
  }
  for (;;) {
    news.cover()
    const { send, waitMs } = nextNotificationStep(await lookAtNotice(subject), sending)
    for (const deliveryId of send) void begin(deliveryId)
    if (waitMs === null && sending.size === 0) return
    await news.wait(waitMs ?? idleLook)
    if (sending.size === 0) await renewWhenLong(subject)
  }
}
