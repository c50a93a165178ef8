import type { KeyObject } from 'node:crypto'
import { AccessRequestId, UserId, type AccountId } from '#schemas/ids.ts'
import { signDecisionLink } from '#secrets/decision-link.ts'
import type { Claim } from '#store/notice-delivery.ts'

/**
 * What a mail to one approver says besides: a link for each verdict. Nobody else gets them, and whoever opens one logs in.
 *
 * @param key the same as that of the API
 * @param base where the console is, without trailing slash; the token stands behind the `#`, which is sent to no server
 */
export function decisionLinks(key: KeyObject, base: string) {
  return (accountId: AccountId, { kind, subject, facts }: Claim['notice'], userId: string): string => {
    const { version } = facts
    if ((kind !== 'access_request.opened' && kind !== 'access_request.escalated') || typeof version !== 'number') return ''
    const of = { accountId, requestId: AccessRequestId.parse(subject.id), version, userId: UserId.parse(userId) }
    const link = (verdict: 'approve' | 'deny') => `${base}/access-requests/${subject.id}#decide=${signDecisionLink(key, { ...of, verdict })}`
    return [
      '',
      `approve: ${link('approve')}`,
      `deny: ${link('deny')}`,
      'Each works once and for you alone, after your login; `leasehold decide` takes it too.',
      '',
    ].join('\n')
  }
}
