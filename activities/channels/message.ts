import { noticeWords, type SpokenNotice } from '#schemas/notice-text.ts'

/** A notice as receivers get it, whatever the channel. */
export interface Message {
  /** The same in every message about the notice and in every attempt: who gets it twice can tell. */
  readonly id: string
  readonly title: string
  readonly text: string
  /** For programs; the shape is public (docs/notifications.md). */
  readonly payload: NoticePayload
}

interface NoticePayload {
  /** `leasehold.notice.` and the kind. */
  readonly type: string
  readonly timestamp: string
  readonly data: Omit<SpokenNotice, 'names' | 'createdAt'> & { readonly accountId: string; readonly organizationId: string | null; readonly title: string }
}

export function messageOf(accountId: string, notice: SpokenNotice & { readonly organizationId: string | null }): Message {
  const { title, body } = noticeWords(notice)
  const { id, kind, severity, subject, facts, organizationId, createdAt } = notice
  return {
    id,
    title,
    text: body,
    payload: {
      type: `leasehold.notice.${kind}`,
      timestamp: createdAt,
      data: { id, kind, severity, accountId, organizationId, subject, title, facts },
    },
  }
}
