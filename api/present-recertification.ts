import type { UserId } from '#schemas/ids.ts'
import type { ItemDecision, Recertification, RecertificationEvidence, RecertificationItem } from '#schemas/recertification.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { openForAccount, type AccountKey } from '#secrets/account-key.ts'
import type { RecertificationEvidenceFacts } from '#store/recertification-evidence.ts'
import type { RecertificationItemView } from '#store/recertification-item.ts'
import type { RecertificationView } from '#store/recertification.ts'

const opened = (key: AccountKey, id: string, sealed: Sealed): string => openForAccount(key, { purpose: 'recertification', id }, sealed).expose()

const isOver = ({ state, isDue }: RecertificationView): boolean => state !== 'open' || isDue

/** @param caller who reads it */
export function presentRecertification(key: AccountKey, caller: UserId, recertification: RecertificationView): Recertification {
  const { id, name, organizationId, vaultIds, reviewers, onSilence, state, startedBy, counts, people } = recertification
  return {
    id,
    name,
    organizationId,
    vaultIds,
    reviewers,
    dueAt: recertification.dueAt.toISOString(),
    onSilence,
    reason: opened(key, id, recertification.reason),
    state,
    startedBy,
    openedAt: recertification.openedAt.toISOString(),
    closedAt: recertification.closedAt?.toISOString() ?? null,
    counts,
    mayDecide: !isOver(recertification) && people.includes(caller),
  }
}

/** @param caller who reads it */
export function presentItem(key: AccountKey, caller: UserId, recertification: RecertificationView, item: RecertificationItemView): RecertificationItem {
  const isOpen = item.decision === 'open' || item.decision === 'keep'
  return { ...whatItIs(key, item), mayDecide: isOpen && !isOver(recertification) && !item.isOwn && recertification.people.includes(caller) }
}

function whatItIs(key: AccountKey, item: RecertificationItemView): Omit<RecertificationItem, 'mayDecide'> {
  const { id, kind, grantId, vaultId, level, assignmentId, roleId, organizationId, what, principal, grantedBy, decision, decidedBy } = item
  return {
    id,
    kind,
    grantId,
    identityGroupId: vaultId,
    level,
    assignmentId,
    roleId,
    organizationId,
    what,
    principal,
    since: item.since.toISOString(),
    until: item.until?.toISOString() ?? null,
    grantedBy,
    lastUsedAt: item.lastUsedAt?.toISOString() ?? null,
    decision,
    decider: decision === 'open' || decision === 'gone' ? null : decidedBy === null ? 'silence' : 'reviewer',
    decidedBy,
    decidedAt: item.decidedAt?.toISOString() ?? null,
    comment: item.comment === null ? null : opened(key, id, item.comment),
  }
}

const effects = {
  open: 'none',
  keep: 'stays',
  refused: 'stays',
  remove: 'ended',
  gone: 'ended-before',
} as const satisfies Record<ItemDecision, RecertificationEvidence['items'][number]['effect']>

/** What the tables say about it, in the order in which an auditor asks. */
export function presentRecertificationEvidence(
  key: AccountKey,
  recertification: Recertification,
  { reviewers, items, told, events }: RecertificationEvidenceFacts,
): RecertificationEvidence {
  return {
    recertification,
    reviewers: [...reviewers],
    items: items.map((item) => ({ ...whatItIs(key, item), effect: effects[item.decision], endedAt: item.endedAt?.toISOString() ?? null })),
    told: [...told],
    events: events.map((event) => ({ ...event, at: event.at.toISOString() })),
  }
}
