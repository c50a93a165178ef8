import type { NoticeKind, NoticeSeverity } from './notice.ts'

/** A notice as its workflow sees it. Ids, states and times only: it stands in workflow histories. */
export interface NoticeFacts {
  readonly noticeId: string
  readonly kind: NoticeKind
  readonly severity: NoticeSeverity
  readonly delivered: number
  readonly failed: number
  /** Messages that are still to be sent. */
  readonly pending: readonly { readonly deliveryId: string; readonly attempts: number; readonly dueInMs: number }[]
}
