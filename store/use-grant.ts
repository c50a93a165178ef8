import { sql } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { judgeUse, type OpenUse } from '#schemas/rules/use.ts'
import type { Transaction } from './connection.ts'

/** One use of a decision that has obligations. */
export interface UseRequest {
  readonly userId: UserId
  readonly action: string
  /** The most specific thing that was decided on. */
  readonly resourceId: string
  /** `jkt:` or `x5t#S256:` and the thumbprint; `none`: a bearer token. */
  readonly binding: string
  /** SHA-256 over issuer and jti, 32 bytes. */
  readonly tokenDigest: Uint8Array
  /** Whether each token counts once. */
  readonly tokensCountOnce: boolean
  /** What was decided just now, for the case that nothing is open. */
  readonly decisionId: string
  readonly maxUses: number | null
  readonly ttlSeconds: number
  /** Policies that it was decided by; null: the baseline. */
  readonly policyVersion: number | null
  /** When the user logged in, as the token says; null: it does not. */
  readonly loggedInAt: Date | null
}

/** A use that was counted. */
export interface ReservedUse {
  readonly grantId: string
  /** The decision that it counts against. */
  readonly decisionId: string
  /** When that decision ends: nothing that is given by it lasts longer. */
  readonly expiresAt: Date
}

interface Row extends OpenUse {
  readonly id: string
  readonly decisionId: string
}

/**
 * Counts one use, before anything is released: exact over all replicas and restarts, because it is a row. Uses of one person,
 * action and resource wait for each other here and nowhere else.
 *
 * @throws LeaseholdError `uses-exhausted`, `token-used-before`, `binding-changed`
 */
export async function reserveUse(trx: Transaction, request: UseRequest): Promise<ReservedUse> {
  const { userId, action, resourceId, tokenDigest } = request
  // A crowd that comes too late is answered without the lock.
  await look(trx, request)
  await sql`select pg_advisory_xact_lock(hashtextextended(${`use ${userId} ${action} ${resourceId}`}::text, 0))`.execute(trx)
  const { open, now } = await look(trx, request)
  const reserved = open === undefined ? await openUse(trx, request, now) : await countUse(trx, open)
  if (request.tokensCountOnce) await sql`insert into used_token values (default, ${reserved.grantId}::uuid, ${tokenDigest}::bytea)`.execute(trx)
  return reserved
}

/** @returns what the use counts against; undefined: a fresh decision */
async function look(trx: Transaction, request: UseRequest): Promise<{ readonly open: Row | undefined; readonly now: Date }> {
  const { tokenDigest } = request
  const { rows } = await sql<{ now: Date; decided: boolean; used: boolean; open: (Omit<Row, 'expiresAt'> & { expiresAt: string }) | null }>`
    with clock as materialized (select app_clock() as now)
    select clock.now, exists (select from use_grant where ${same(request)} and expires_at > clock.now
        and (token_digest = ${tokenDigest}::bytea or logged_in_at is null or ${request.loggedInAt}::timestamptz is null or logged_in_at >= ${request.loggedInAt}::timestamptz)) as decided,
      (select jsonb_build_object('id', g.id, 'decisionId', g.decision_id, 'binding', g.binding, 'maxUses', g.max_uses, 'uses', g.uses, 'expiresAt', g.expires_at, 'policyVersion', g.policy_version)
        from use_grant g where ${same(request)} and g.closed_at is null) as open,
      exists (select from used_token t join use_grant o on o.id = t.use_grant_id where t.digest = ${tokenDigest}::bytea
        and o.expires_at > clock.now and ${same(request, sql`o.`)}) as used
    from clock`.execute(trx)
  const { now, decided, used, open: row } = rows[0] as (typeof rows)[number]
  const open = row === null ? undefined : { ...row, expiresAt: new Date(row.expiresAt) }
  const asked = {
    binding: request.binding,
    maxUses: request.maxUses,
    policyVersion: request.policyVersion,
    tokenUsed: request.tokensCountOnce && used,
    loginDecided: decided,
  }
  const verdict = judgeUse(open, asked, now)
  if (verdict.kind === 'refuse') throw new LeaseholdError(verdict.code, { until: verdict.until.toISOString() })
  if (verdict.kind === 'renew' || open === undefined) return { open: undefined, now }
  // The decision of this request may last less long than the one that it counts against.
  const endsAt = now.getTime() + request.ttlSeconds * 1_000
  return { open: { ...open, expiresAt: new Date(Math.min(open.expiresAt.getTime(), endsAt)) }, now }
}

/** Takes a use back of which nothing was released. */
export async function refundUse(trx: Transaction, { grantId }: ReservedUse, { tokenDigest }: Pick<UseRequest, 'tokenDigest'>): Promise<void> {
  await sql`update use_grant set uses = uses - 1 where id = ${grantId}::uuid and uses > 0`.execute(trx)
  await sql`delete from used_token where use_grant_id = ${grantId}::uuid and digest = ${tokenDigest}::bytea`.execute(trx)
}

async function countUse(trx: Transaction, { id, decisionId, expiresAt }: Row): Promise<ReservedUse> {
  await sql`update use_grant set uses = uses + 1 where id = ${id}::uuid`.execute(trx)
  return { grantId: id, decisionId, expiresAt }
}

/** Opens a new one in place of the old one; the user's others whose time is over are forgotten. */
async function openUse(trx: Transaction, request: UseRequest, now: Date): Promise<ReservedUse> {
  const { userId, action, resourceId, binding, tokenDigest, decisionId, maxUses, ttlSeconds } = request
  const expiresAt = new Date(now.getTime() + ttlSeconds * 1_000)
  const grantId = uuidv7()
  await sql`delete from use_grant where user_id = ${userId}::uuid and expires_at <= ${now}::timestamptz`.execute(trx)
  await sql`update use_grant set closed_at = ${now}::timestamptz where ${same(request)} and closed_at is null`.execute(trx)
  await sql`insert into use_grant (id, user_id, action, resource_id, decision_id, binding, token_digest, max_uses, uses, created_at, expires_at, policy_version, logged_in_at)
    values (${grantId}::uuid, ${userId}::uuid, ${action}::text, ${resourceId}::uuid, ${decisionId}::uuid, ${binding}::text, ${tokenDigest}::bytea,
      ${maxUses}::int, 1, ${now}::timestamptz, ${expiresAt}::timestamptz, ${request.policyVersion}::int, ${request.loggedInAt}::timestamptz)`.execute(trx)
  return { grantId, decisionId, expiresAt }
}

const same = ({ userId, action, resourceId }: UseRequest, of = sql``) =>
  sql`${of}user_id = ${userId}::uuid and ${of}action = ${action}::text and ${of}resource_id = ${resourceId}::uuid`
