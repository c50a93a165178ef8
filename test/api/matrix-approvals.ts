import type { Parts } from '#api/parts.ts'
import { AccessRequestId, AccountId, UserId } from '#schemas/ids.ts'
import { signDecisionLink } from '#secrets/decision-link.ts'
import { administers, anyRole, holder, people, seesAdministration, type Person } from './matrix-people.ts'
import { collection, create, item, stale, type Row, type Things } from './matrix-row.ts'

/** `view+checkout` made the request; whoever holds pam_requests.approve decides on it. */
const seesRequest: readonly Person[] = ['owner', 'manage', 'audit', 'approve', ...holder]

const request =
  (rest = '') =>
  ({ accessRequest }: Things) =>
    `/v1/access-requests/${accessRequest}${rest}`
/** `approve` reviews it. */
const seesRecertification: readonly Person[] = [...seesAdministration, 'approve']
const recertification =
  (rest = '') =>
  (things: Things) =>
    `/v1/recertifications/${things.recertification}${rest}`
export const recertificationOf = (organizationId: string, reviewer: string) => ({
  name: 'Fourth quarter',
  organizationId,
  reviewers: [{ type: 'user', id: reviewer }],
  dueAt: new Date(Date.now() + 86_400_000).toISOString(),
  onSilence: 'keep',
  reason: 'x',
})
const policy = ({ approvalPolicy }: Things) => `/v1/approval-policies/${approvalPolicy}`

/** Approval policies and recertifications, and what is asked and decided by them. */
export const approvalRows: Readonly<Record<string, Row>> = {
  'GET /v1/approval-policies': collection('/v1/approval-policies', seesAdministration),
  'POST /v1/approval-policies': {
    path: () => '/v1/approval-policies',
    may: administers,
    sees: seesAdministration,
    answer: 409,
    body: ({ guardedIdentity: identityId }) => ({ identityId, steps: [{ approvers: [{ type: 'permission' }] }] }),
  },
  'GET /v1/approval-policies/{id}': item(policy, seesAdministration),
  'PATCH /v1/approval-policies/{id}': stale(policy, administers, seesAdministration, { timeoutMinutes: 60 }),
  'DELETE /v1/approval-policies/{id}': stale(policy, administers, seesAdministration),

  'GET /v1/access-requests': collection('/v1/access-requests', people),
  'GET /v1/access-requests/{id}': item(request(), seesRequest),
  'PATCH /v1/access-requests/{id}': stale(request(), holder, seesRequest, { durationMinutes: 30 }),
  'POST /v1/access-requests/{id}/decisions': {
    path: request('/decisions'),
    may: ['owner', 'approve'],
    sees: seesRequest,
    answer: 200,
    body: () => ({ verdict: 'approve', version: 1 }),
  },
  // Made for `approve`, who has decided by then.
  'POST /v1/access-request-links': {
    path: () => '/v1/access-request-links',
    may: ['approve'],
    sees: [],
    answer: 409,
    body: ({ decisionLink: token }) => ({ token }),
  },
  'POST /v1/access-requests/{id}/cancel': { path: request('/cancel'), may: holder, sees: seesRequest, answer: 200, body: () => ({}) },

  'GET /v1/recertifications': collection('/v1/recertifications', people),
  'POST /v1/recertifications': create('/v1/recertifications', administers, ({ organization, idpUser }) => recertificationOf(organization, idpUser), anyRole),
  'GET /v1/recertifications/{id}': item(recertification(), seesRecertification),
  'GET /v1/recertifications/{id}/items': item(recertification('/items'), seesRecertification),
  'GET /v1/recertifications/{id}/evidence': item(recertification('/evidence'), ['owner', 'audit'], seesRecertification),
  'POST /v1/recertifications/{id}/items/{itemId}/decide': {
    path: (things) => recertification(`/items/${things.recertificationItem}/decide`)(things),
    may: ['approve'],
    sees: seesRecertification,
    answer: 200,
    body: () => ({ decision: 'keep', comment: 'Is needed as before' }),
  },
  'POST /v1/recertifications/{id}/cancel': {
    path: recertification('/cancel'),
    may: administers,
    sees: seesRecertification,
    answer: 200,
    body: () => ({}),
  },
}

/** The token of a link by which somebody approves a request. */
export const approvalLink = ({ decisionLinkKey }: Parts, accountId: string, requestId: string, userId: string): string =>
  signDecisionLink(decisionLinkKey, {
    accountId: AccountId.parse(accountId),
    requestId: AccessRequestId.parse(requestId),
    version: 1,
    verdict: 'approve',
    userId: UserId.parse(userId),
  })
