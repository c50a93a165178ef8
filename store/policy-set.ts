import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { CreatePolicySet, PolicySet } from '#schemas/policy.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { pageClause } from './page.ts'

const sets = sql`
  select id, version, policies, comment, in_force as "inForce", created_by as "createdBy", created_at as "createdAt", activated_at as "activatedAt"
  from policy_set where true`

type Row = Omit<PolicySet, 'createdAt' | 'activatedAt'> & { readonly createdAt: Date; readonly activatedAt: Date | null }
const fromRow = (row: Row): PolicySet => ({ ...row, createdAt: row.createdAt.toISOString(), activatedAt: row.activatedAt?.toISOString() ?? null })

/** @throws LeaseholdError `not-found` */
export async function readPolicySet(trx: Transaction, id: string): Promise<PolicySet> {
  const { rows } = await sql<Row>`${sets} and id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/** The text of one version. @throws LeaseholdError `not-found` */
export async function readPolicies(trx: Transaction, version: number): Promise<string> {
  const { rows } = await sql<{ policies: string }>`select policies from policy_set where version = ${version}::int`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return rows[0].policies
}

export async function listPolicySets(trx: Transaction, page: PageRequest): Promise<Page<PolicySet>> {
  const { rows } = await sql<Row>`${sets} ${pageClause(sql`id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** Keeps a version. One at a time in an account, so that versions have no gaps. */
export async function createPolicySet(trx: Transaction, id: string, userId: UserId, { policies, comment }: CreatePolicySet, actor: Actor): Promise<PolicySet> {
  await lockPolicies(trx)
  await sql`insert into policy_set (id, version, policies, comment, created_by)
    select ${id}::uuid, coalesce(max(version), 0) + 1, ${policies}::text, ${comment ?? null}::text, ${userId}::uuid from policy_set`.execute(trx)
  const created = await readPolicySet(trx, id)
  await appendAudit(trx, { actor, action: 'policy_set.created', effect: 'permit', outcome: 'success', detail: { version: created.version } })
  return created
}

/**
 * Puts a version in force, from the next request on: uses that other policies decided no longer count (`judgeUse`).
 *
 * @throws LeaseholdError `not-found`
 */
export async function activatePolicySet(trx: Transaction, id: string, actor: Actor): Promise<PolicySet> {
  await lockPolicies(trx)
  const { inForce } = await readPolicySet(trx, id)
  if (inForce) return readPolicySet(trx, id)
  const before = await sql<{ version: number }>`update policy_set set in_force = false where in_force returning version`.execute(trx)
  await sql`update policy_set set in_force = true, activated_at = app_clock() where id = ${id}::uuid`.execute(trx)
  const after = await readPolicySet(trx, id)
  const detail = { version: after.version, before: before.rows[0]?.version ?? null }
  await appendAudit(trx, { actor, action: 'policy_set.activated', effect: 'permit', outcome: 'success', detail })
  return after
}

const lockPolicies = (trx: Transaction) => sql`select pg_advisory_xact_lock(hashtextextended('policies ' || current_account()::text, 0))`.execute(trx)
