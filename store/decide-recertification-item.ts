import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { OrganizationId, RecertificationId, UserId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { refuseDecision, type ItemRefusal } from '#schemas/rules/recertification.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { ItemDecision } from '#schemas/states.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { revokeGrant } from './grant.ts'
import type { AccessSubject } from './owe-access-review.ts'
import { lockItem, type RecertificationItemView } from './recertification-item.ts'
import { lockRecertification, type RecertificationView } from './recertification.ts'
import { endAssignment } from './role-assignment.ts'

export interface NewItemDecision {
  readonly id: RecertificationId
  readonly itemId: string
  readonly decision: 'keep' | 'remove'
  /** Sealed for the item under the key of the account. */
  readonly comment: Sealed
  readonly caller: Principal
  readonly actor: Actor
}

/**
 * Decides about one item. A removal takes the access away in the same transaction, by the functions of the routes of grants and roles. What
 * has ended otherwise meanwhile is marked so and is nobody's decision.
 *
 * @returns whose leases the caller looks at right after the commit
 * @throws LeaseholdError `not-found`, `recertification-closed`, `forbidden`, `recertification-item-decided`, `last-owner`
 */
export async function decideItem(trx: Transaction, made: NewItemDecision): Promise<readonly AccessSubject[]> {
  const { id, itemId, decision: wanted, comment, caller, actor } = made
  const recertification = await lockRecertification(trx, id, 'decide')
  const item = await lockItem(trx, id, itemId, caller.userId)
  const { state, isDue, people } = recertification
  const refusal = refuseDecision({ state, isDue, isReviewer: people.includes(caller.userId), isOwn: item.isOwn, decision: item.decision }, wanted)
  if (refusal !== undefined) throw refusalOf(refusal, recertification, item)
  const settled = await effectOf(trx, item, wanted, caller, actor)
  // It was kept, and has ended since: that was decided, and nothing is left to remove.
  if (settled.decision === 'gone' && item.decision === 'keep') throw refusalOf('decided', recertification, item)
  await writeDecision(trx, recertification, item, { decision: settled.decision, actor, by: { userId: caller.userId, comment } })
  return settled.reviews
}

function refusalOf(refusal: ItemRefusal, { state }: RecertificationView, { decision, decidedBy }: RecertificationItemView): LeaseholdError {
  if (refusal === 'closed') return new LeaseholdError('recertification-closed', { state: state === 'open' ? 'ended' : state })
  if (refusal === 'no-reviewer') return new LeaseholdError('forbidden', { missing: 'to be a reviewer of this recertification' })
  if (refusal === 'own-access') return new LeaseholdError('forbidden', { missing: 'another person: nobody decides about access of their own' })
  const holder = decidedBy?.name
  return new LeaseholdError('recertification-item-decided', { state: decision, ...(holder == null ? {} : { holder }) })
}

export interface Settled {
  readonly decision: Exclude<ItemDecision, 'open'>
  readonly reviews: readonly AccessSubject[]
}

/**
 * What becomes of the access that an item is about; the caller holds the lock of the item.
 *
 * @param caller by whose right it is taken away: only owners take it from owners
 * @throws LeaseholdError `last-owner`, `forbidden`
 */
export async function effectOf(
  trx: Transaction,
  item: RecertificationItemView,
  wanted: 'keep' | 'remove',
  caller: Pick<Principal, 'owner'>,
  actor: Actor,
): Promise<Settled> {
  const gone: Settled = { decision: 'gone', reviews: [] }
  if (item.endedAt !== null) return gone
  if (wanted === 'keep') return { decision: 'keep', reviews: [] }
  const reviews = await endAccess(trx, item, caller, actor)
  return reviews === undefined ? gone : { decision: 'remove', reviews }
}

/** @returns undefined: somebody else has ended it meanwhile */
async function endAccess(
  trx: Transaction,
  { grantId, vaultId, assignmentId, roleId }: RecertificationItemView,
  caller: Pick<Principal, 'owner'>,
  actor: Actor,
): Promise<readonly AccessSubject[] | undefined> {
  if (grantId !== null && vaultId !== null) return (await revokeGrant(trx, vaultId, grantId, actor)) ? [{ vaultId }] : undefined
  if (assignmentId === null || roleId === null) throw new Error('an item about nothing')
  return endAssignment(trx, { id: assignmentId, roleId, caller, actor })
}

/** Writes down what was decided, on the item and in the log. @param by null: silence */
export async function writeDecision(
  trx: Transaction,
  { id, organizationId }: RecertificationView,
  item: RecertificationItemView,
  {
    decision,
    actor,
    by,
  }: { readonly decision: Settled['decision']; readonly actor: Actor; readonly by: { readonly userId: UserId; readonly comment: Sealed } | null },
): Promise<void> {
  // Who finds that it is gone has decided nothing.
  const said = decision === 'gone' ? null : by
  if (said === null) await sql`update recertification_item set state = ${decision}::text, decided_at = app_clock() where id = ${item.id}::uuid`.execute(trx)
  else
    await sql`update recertification_item set state = ${decision}::text, decided_at = app_clock(), decided_by = ${said.userId}::uuid,
      comment_ciphertext = ${said.comment.ciphertext}::bytea, comment_key_id = ${said.comment.keyId}::text where id = ${item.id}::uuid`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'recertification.decided',
    effect: 'permit',
    outcome: decision,
    ...placeOf(item, organizationId),
    ...(said === null ? {} : { reason: said.comment }),
    detail: {
      recertificationId: id,
      itemId: item.id,
      decider: by === null ? 'silence' : 'reviewer',
      ...(item.grantId === null ? { assignmentId: item.assignmentId, roleId: item.roleId } : { grantId: item.grantId, level: item.level }),
      principal: { type: item.principal.type, id: item.principal.id },
    },
  })
}

const placeOf = ({ vaultId }: RecertificationItemView, organizationId: OrganizationId): { organizationId: OrganizationId; vaultId?: VaultId } => ({
  organizationId,
  ...(vaultId === null ? {} : { vaultId }),
})
