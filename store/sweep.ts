import { sql } from 'kysely'
import type { AccountId, IdentityId, LeaseId, RotationId } from '#schemas/ids.ts'
import type { ErrorCode } from '#schemas/errors.ts'
import { nextRotationAt } from '#schemas/rules/rotation.ts'
import { appendAudit } from './audit.ts'
import { beginRotation } from './begin-rotation.ts'
import { lockIdentity, readCheckoutFacts } from './checkout-facts.ts'
import type { Db, Transaction } from './connection.ts'
import { isOwed } from './exposure.ts'
import { translateError } from './postgres-error.ts'
import { readOwedTrigger } from './owed-rotations.ts'
import { canRotate } from './rotatable.ts'

/** `now()` lets the index find them; shifts exist in tests only. */
const bound = sql`now() + (select coalesce(max(shift), interval '0') from clock_shift)`

/** Sorts before every id. */
const nothing = '00000000-0000-0000-0000-000000000000'

export interface OverdueLease {
  readonly accountId: AccountId
  readonly leaseId: LeaseId
  /** As PostgreSQL writes it, to the microsecond: where the next page begins. */
  readonly dueAt: string
}

/**
 * Leases of all accounts that are past their end, the longest overdue first.
 *
 * @param db pool of leasehold_expirer
 * @param after the last one of the page before; those that stay (their identity is busy) do not hide the others
 */
export async function listOverdueLeases(db: Db, limit: number, after?: OverdueLease): Promise<OverdueLease[]> {
  const { rows } = await sql<OverdueLease>`
    select account_id as "accountId", id as "leaseId", expires_at::text as "dueAt" from lease
    where state = 'active' and expires_at <= ${bound} and expires_at <= app_clock(account_id)
      and (expires_at, id) > (${after?.dueAt ?? '-infinity'}::timestamptz, ${after?.leaseId ?? nothing}::uuid)
    order by expires_at, id limit ${limit}::int`
    .execute(db)
    .catch(rethrow)
  return rows
}

export interface DueIdentity {
  readonly accountId: AccountId
  readonly identityId: IdentityId
  /** As PostgreSQL writes it, to the microsecond: where the next page begins. */
  readonly dueAt: string
}

/**
 * Identities of all accounts whose rotation, or check, is due, the longest due first.
 *
 * @param db pool of leasehold_expirer
 * @param after the last one of the page before; those that stay due (a rotation is open) do not hide the others
 */
export async function listDueIdentities(
  db: Db,
  limit: number,
  after?: Pick<DueIdentity, 'dueAt' | 'identityId'>,
  what: 'next_rotation_at' | 'next_check_at' = 'next_rotation_at',
): Promise<DueIdentity[]> {
  const date = sql.ref(what)
  const { rows } = await sql<DueIdentity>`
    select account_id as "accountId", id as "identityId", ${date}::text as "dueAt" from identity
    where ${date} <= ${bound} and ${date} <= app_clock(account_id)
      and (${date}, id) > (${after?.dueAt ?? '-infinity'}::timestamptz, ${after?.identityId ?? nothing}::uuid)
    order by ${date}, id limit ${limit}::int`
    .execute(db)
    .catch(rethrow)
  return rows
}

/**
 * Begins the rotation of a due identity. One that is rotating already, or is no longer due, is left alone; one without hosts, or
 * whose hosts cannot change its type of credential, is skipped, which its audit log shows, and its next date is set. What was seen in an
 * emergency must die without hosts too: then a person is called for again.
 */
export async function beginDueRotation(trx: Transaction, identityId: IdentityId): Promise<RotationId | undefined> {
  await lockIdentity(trx, identityId)
  const due = await readDue(trx, identityId)
  if (due === undefined) return undefined
  const facts = await readCheckoutFacts(trx, identityId, null)
  if (facts.openRotation !== null || facts.draining) return undefined
  const actor = { kind: 'system', id: 'rotation-sweep' } as const
  const trigger = facts.owedSince === null ? 'scheduled' : await readOwedTrigger(trx, identityId)
  const vaultOnly = facts.hosts.length === 0 && trigger === 'break_glass'
  const hindrance: ErrorCode | undefined =
    facts.hosts.length === 0 && !vaultOnly ? 'identity-has-no-hosts' : (await canRotate(trx, identityId)) ? undefined : 'credential-not-rotatable'
  if (hindrance !== undefined) {
    const next = nextRotationAt(due.interval, facts.now, due.dueAt)
    await trx.updateTable('identity').set({ next_rotation_at: next }).where('id', '=', identityId).execute()
    await appendAudit(trx, {
      actor,
      action: 'rotation.skipped',
      effect: 'permit',
      outcome: hindrance,
      organizationId: facts.organizationId,
      vaultId: facts.vaultId,
      identityId,
    })
    return undefined
  }
  const { rotationId } = await beginRotation(trx, { identityId, trigger, actor, vaultOnly, ...(trigger === 'scheduled' ? { dueAt: due.dueAt } : {}) })
  return rotationId
}

/**
 * A retry after a failure keeps the date that was due first, so that the schedule does not move. What must die has to on a disabled
 * identity too: its accounts still take it.
 */
async function readDue(trx: Transaction, identityId: IdentityId): Promise<{ readonly dueAt: Date; readonly interval: number | null } | undefined> {
  const { rows } = await sql<{ dueAt: Date; interval: number | null }>`
    select coalesce((select r.due_at from rotation r where r.identity_id = i.id and r.state = 'failed' and r.started_at > coalesce(i.last_rotated_at, '-infinity')
      and r.due_at is not null order by r.started_at limit 1), i.next_rotation_at) as "dueAt", i.rotation_interval_days as interval
    from identity i where i.id = ${identityId}::uuid and i.deleted_at is null
      and (i.state = 'active' or i.state = 'disabled' and ${isOwed}) and i.next_rotation_at <= app_clock()`.execute(trx)
  return rows[0]
}

function rethrow(error: unknown): never {
  throw translateError(error)
}
