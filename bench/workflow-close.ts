import type { Client } from '@temporalio/client'
import proto from '@temporalio/proto'

const closeEvent = proto.temporal.api.enums.v1.HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT

/** Waits, in one long poll of Temporal, until a workflow has closed; what it returned stays unread. @throws Error unless it completed */
export async function waitUntilClosed({ connection, options }: Client, workflowId: string): Promise<void> {
  let nextPageToken: Uint8Array | undefined
  for (;;) {
    const answer = await connection.workflowService.getWorkflowExecutionHistory({
      namespace: options.namespace,
      execution: { workflowId },
      historyEventFilterType: closeEvent,
      waitNewEvent: true,
      skipArchival: true,
      ...(nextPageToken === undefined ? {} : { nextPageToken }),
    })
    const event = answer.history?.events?.[0]
    if (event?.workflowExecutionCompletedEventAttributes) return
    if (event) throw new Error(`workflow ${workflowId} closed without completing`)
    nextPageToken = answer.nextPageToken ?? undefined
  }
}
