import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { RecertificationId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import type { CreateRecertification } from '#schemas/recertification.ts'
import { hasPermission } from '#schemas/rules/access.ts'
import { longestRecertification, reminderAt, shortestRecertification } from '#schemas/rules/recertification.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { findDirectoryRecord } from './idp.ts'
import { noteLastUse } from './note-last-use.ts'
import { raiseNotice } from './notice.ts'
import { holderOf } from './recertification-item.ts'
import { readRecertification, type RecertificationView } from './recertification.ts'
import { refuseDuplicates, refuseFaults } from './refusals.ts'

export interface NewRecertification {
  readonly id: RecertificationId
  /** Sealed for this id under the key of the account. */
  readonly reason: Sealed
  readonly caller: Principal
  readonly actor: Actor
}

/**
 * Asks reviewers who may keep which access. The items are what there is at this instant: grants on the vaults, and roles that hold in the
 * organization. Roles for the whole account belong to it when whoever starts it could take them away, those of owners when an owner does.
 *
 * @throws LeaseholdError `not-found` (vault or reviewer), `validation-failed`, `quorum-unreachable`
 */
export async function openRecertification(
  trx: Transaction,
  { id, reason, caller, actor }: NewRecertification,
  body: CreateRecertification,
): Promise<RecertificationView> {
  const { organizationId, onSilence } = body
  const vaultIds = body.vaultIds ?? null
  const { openedAt, dueAt } = await readTimes(trx, body.dueAt)
  await refuseForeignVaults(trx, body)
  await sql`
    insert into recertification (id, organization_id, name, vault_ids, on_silence, reason_ciphertext, reason_key_id, started_by, opened_at, due_at, remind_at)
    values (${id}::uuid, ${organizationId}::uuid, ${body.name}::text, ${vaultIds}::uuid[], ${onSilence}::text, ${reason.ciphertext}::bytea, ${reason.keyId}::text,
      ${caller.userId}::uuid, ${openedAt}::timestamptz, ${dueAt}::timestamptz, ${reminderAt(openedAt, dueAt)}::timestamptz)`.execute(trx)
  await writeReviewers(trx, id, body, caller)
  const grants = await writeGrants(trx, id)
  const roles = await writeRoles(trx, id, caller)
  refuseTooMany(grants + roles)
  await noteLastUse(trx, id)
  const recertification = await readRecertification(trx, id)
  await refuseUndecidable(trx, recertification)
  await appendAudit(trx, {
    actor,
    action: 'recertification.opened',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    reason,
    expiresAt: dueAt,
    detail: { recertificationId: id, vaultIds, reviewers: body.reviewers, onSilence, grants, roles },
  })
  await tellReviewers(trx, recertification, 'opened')
  await owe(trx, 'recertification', id)
  return recertification
}

/** Tells those who may decide now. */
export async function tellReviewers(trx: Transaction, recertification: RecertificationView, verb: 'opened' | 'reminder'): Promise<void> {
  const { id, organizationId, dueAt, onSilence, counts, people } = recertification
  await raiseNotice(trx, {
    kind: `recertification.${verb}`,
    severity: verb === 'opened' ? 'info' : 'warning',
    subject: { type: 'recertification', id },
    organizationId,
    to: people,
    facts: { organizationId, open: counts.open, dueAt: dueAt.toISOString(), onSilence },
  })
}

/** @throws LeaseholdError `validation-failed` */
async function readTimes(trx: Transaction, wanted: string): Promise<{ readonly openedAt: Date; readonly dueAt: Date }> {
  const { rows } = await sql<{ openedAt: Date }>`select app_clock() as "openedAt"`.execute(trx)
  const { openedAt } = rows[0] as { openedAt: Date }
  const dueAt = new Date(wanted)
  const lasts = dueAt.getTime() - openedAt.getTime()
  const fits = lasts >= shortestRecertification && lasts <= longestRecertification
  refuseFaults(fits ? [] : [{ path: 'dueAt', message: 'must be 1 hour to 90 days ahead' }])
  return { openedAt, dueAt }
}

/** @throws LeaseholdError `not-found` */
async function refuseForeignVaults(trx: Transaction, { organizationId, vaultIds }: CreateRecertification): Promise<void> {
  const { rows } = await sql`select from unnest(${vaultIds ?? []}::uuid[]) w (id)
    where not exists (select from vault v where v.id = w.id and v.organization_id = ${organizationId}::uuid and v.deleted_at is null) limit 1`.execute(trx)
  if (rows.length > 0) throw new LeaseholdError('not-found')
}

async function writeReviewers(trx: Transaction, id: RecertificationId, { reviewers }: CreateRecertification, caller: Principal): Promise<void> {
  for (const reviewer of reviewers) {
    const record = await findDirectoryRecord(trx, reviewer, caller)
    const [user, group] = record.type === 'user' ? [record.id, null] : [null, record.id]
    await refuseDuplicates(
      sql`insert into recertification_reviewer (recertification_id, idp_user_id, idp_group_id) values (${id}::uuid, ${user}::uuid, ${group}::uuid)`.execute(
        trx,
      ),
    )
  }
}

/** Items of one recertification: they are written in one transaction, which has 2 s. */
const most = 1_000

async function writeGrants(trx: Transaction, id: RecertificationId): Promise<number> {
  const { numAffectedRows } = await sql`
    with clock as materialized (select app_clock() as now)
    insert into recertification_item (recertification_id, grant_id, vault_id, level, what, idp_user_id, idp_group_id, holder, since, until, granted_by)
    select t.id, h.id, h.vault_id, h.level, v.name, h.idp_user_id, h.idp_group_id, coalesce(d.name, d.email, p.name), h.valid_from, h.expires_at, h.created_by
    from recertification t join vault v on v.organization_id = t.organization_id and v.deleted_at is null and (t.vault_ids is null or v.id = any(t.vault_ids))
      join vault_grant h on h.vault_id = v.id and h.valid_to is null
      left join idp_user d on d.id = h.idp_user_id left join idp_group p on p.id = h.idp_group_id, clock
    where t.id = ${id}::uuid and (h.expires_at is null or h.expires_at > clock.now) order by v.name, h.id limit ${most + 1}::int`.execute(trx)
  return Number(numAffectedRows)
}

/** Whether somebody could take away that role `r` is held by `h` (assignment or item) in an organization of theirs. */
export const isInReachOf = (caller: Principal) => sql<boolean>`(
  (h.organization_id is not null or ${hasPermission(caller, 'organizations.manage', null)}::boolean) and (not r.owner or ${caller.owner}::boolean))`

async function writeRoles(trx: Transaction, id: RecertificationId, caller: Principal): Promise<number> {
  const { numAffectedRows } = await sql`
    insert into recertification_item (recertification_id, assignment_id, role_id, organization_id, what, user_id, idp_user_id, idp_group_id, holder, since,
      granted_by)
    select t.id, h.id, r.id, h.organization_id, r.name, h.user_id, h.idp_user_id, h.idp_group_id, coalesce(u.name, u.email, u.sub, d.name, d.email, p.name),
      h.valid_from, h.created_by
    from recertification t join role_assignment h on h.valid_to is null and (h.organization_id = t.organization_id or h.organization_id is null)
      join role r on r.id = h.role_id and ${isInReachOf(caller)}
      left join account_user u on u.id = h.user_id left join idp_user d on d.id = h.idp_user_id left join idp_group p on p.id = h.idp_group_id
    where t.id = ${id}::uuid order by r.name, h.id limit ${most + 1}::int`.execute(trx)
  return Number(numAffectedRows)
}

/** @throws LeaseholdError `validation-failed` */
function refuseTooMany(items: number): void {
  refuseFaults(items > most ? [{ path: 'vaultIds', message: `must name fewer vaults: one recertification has at most ${most} items` }] : [])
}

/**
 * Somebody must be able to decide, and about each item where silence removes it: nobody decides about themselves.
 *
 * @throws LeaseholdError `quorum-unreachable`
 */
async function refuseUndecidable(trx: Transaction, { id, people, onSilence }: RecertificationView): Promise<void> {
  if (people.length === 0) throw new LeaseholdError('quorum-unreachable', { detail: 'None of the reviewers can decide' })
  if (onSilence === 'keep') return
  const { rows } = await sql<{ count: number }>`
    with own as materialized (select distinct r.id as person, h.id as holder from unnest(${people}::uuid[]) r (id) cross join lateral holders_of(r.id, app_clock()) h)
    select count(*)::int as count from recertification_item i where i.recertification_id = ${id}::uuid
      and ${holderOf} in (select holder from own group by holder having count(*) = cardinality(${people}::uuid[]))`.execute(trx)
  const count = rows[0]?.count ?? 0
  if (count > 0) {
    throw new LeaseholdError('quorum-unreachable', { detail: `${count} of the items are about all of the reviewers themselves, and silence would remove them` })
  }
}
