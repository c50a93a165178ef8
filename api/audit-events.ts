import { scopeOf } from '#policy/scope.ts'
import { AuditEvent, AuditQuery } from '#schemas/audit.ts'
import type { AccountId, IdentityId } from '#schemas/ids.ts'
import { pageOf } from '#schemas/page.ts'
import { openForAccount, type BelongsTo } from '#secrets/account-key.ts'
import { readAuditLog, type AuditEventView } from '#store/audit-view.ts'
import { openReason } from './key-ring.ts'
import { pageFrom } from './collection.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

/** @param reason opened, for auditors */
const presentEvent = (event: AuditEventView, reason: string | null): AuditEvent => ({
  id: event.id,
  time: event.at.toISOString(),
  account: event.account_id,
  actor: { kind: event.actor_kind, id: event.actor_id, iss: event.actor_iss, sub: event.actor_sub },
  action: event.action,
  purpose: event.purpose,
  effect: event.effect,
  outcome: event.outcome,
  organizationId: event.organization_id,
  vaultId: event.vault_id,
  identityId: event.identity_id,
  hostId: event.host_id,
  userId: event.user_id,
  leaseId: event.lease_id,
  rotationId: event.rotation_id,
  sessionId: event.session_id,
  requestId: event.request_id,
  connectorId: event.connector_id,
  reason,
  requestedMinutes: event.requested_minutes,
  expiresAt: event.expires_at?.toISOString() ?? null,
  breakGlass: event.break_glass,
  decisionId: event.decision_id,
  correlationId: event.correlation_id,
  traceId: event.trace_id,
  ip: event.ip,
  userAgent: event.user_agent,
  resourceRef: event.resource_ref,
  detail: event.detail,
})

/** As auditors read them, with the reasons opened. */
export const presentEvents = (parts: Pick<Parts, 'vaultKeys' | 'accountKeys'>, events: readonly AuditEventView[]): Promise<AuditEvent[]> =>
  Promise.all(events.map(async (event) => presentEvent(event, await reasonFor(parts, event))))

async function reasonFor({ vaultKeys, accountKeys }: Pick<Parts, 'vaultKeys' | 'accountKeys'>, event: AuditEventView): Promise<string | null> {
  const { reason, accountReason, identity_id: identityId } = event
  if (reason !== null && identityId !== null) return openReason(vaultKeys, identityId as IdentityId, reason)
  const belongsTo = subjectOf(event.detail)
  if (accountReason === null || belongsTo === undefined) return null
  const key = await accountKeys.get(event.account_id as AccountId)
  return openForAccount(key, belongsTo, accountReason).expose()
}

/** What a reason was sealed for that belongs to no vault. */
function subjectOf(detail: AuditEventView['detail']): BelongsTo | undefined {
  const { windowId, campaignId, itemId, recertificationId } = detail ?? {}
  if (typeof windowId === 'string') return { purpose: 'support-access', id: windowId }
  if (typeof campaignId === 'string') return { purpose: 'rotation-campaign', id: campaignId }
  const id = itemId ?? recertificationId
  return typeof id === 'string' ? { purpose: 'recertification', id } : undefined
}

export function auditEventRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'get',
      path: '/v1/audit/events',
      action: 'audit.list',
      summary: 'The audit log, newest first',
      query: AuditQuery,
      answers: { 200: pageOf(AuditEvent) },
      refuses: ['organization-secret-not-found', 'decryption-failed'],
    },
    async ({ principal, actor, query, inAccount }) => {
      const { limit: _limit, cursor: _cursor, ...filter } = query
      const page = await inAccount((trx) => readAuditLog(trx, actor, scopeOf(principal, 'audit.list'), filter, pageFrom(query)))
      return reply(200, { ...page, items: await presentEvents(parts, page.items) })
    },
  )
}
