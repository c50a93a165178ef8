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
  const { rows } = await sql<{ now: Date; decided: boolean; open: (Omit<Row, 'expiresAt'> & { expiresAt: string; tokenUsed: boolean }) | null }>`
    with clock as materialized (select app_clock() as now)
    select clock.now, exists (select from use_grant where ${same(request)} and token_digest = ${tokenDigest}::bytea and expires_at > clock.now) as decided,
      (select jsonb_build_object('id', g.id, 'decisionId', g.decision_id, 'binding', g.binding, 'maxUses', g.max_uses, 'uses', g.uses, 'expiresAt', g.expires_at,
        'tokenUsed', exists (select from used_token t where t.use_grant_id = g.id and t.digest = ${tokenDigest}::bytea))
        from use_grant g where ${same(request)} and g.closed_at is null) as open
    from clock`.execute(trx)
  const { now, decided, open: row } = rows[0] as (typeof rows)[number]
  const open = row === null ? undefined : { ...row, expiresAt: new Date(row.expiresAt) }
  const asked = { binding: request.binding, tokenUsed: request.tokensCountOnce && row?.tokenUsed === true, tokenDecided: decided }
  const verdict = judgeUse(open, asked, now)
  if (verdict.kind === 'refuse') throw new LeaseholdError(verdict.code, { until: verdict.until.toISOString() })
  return { open: verdict.kind === 'count' ? open : undefined, now }
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

/** Opens a new one in place of the old one; those whose time is over are forgotten. */
async function openUse(trx: Transaction, request: UseRequest, now: Date): Promise<ReservedUse> {
  const { userId, action, resourceId, binding, tokenDigest, decisionId, maxUses, ttlSeconds } = request
  const expiresAt = new Date(now.getTime() + ttlSeconds * 1_000)
  const grantId = uuidv7()
  await sql`delete from use_grant where ${same(request)} and expires_at <= ${now}::timestamptz`.execute(trx)
  await sql`update use_grant set closed_at = ${now}::timestamptz where ${same(request)} and closed_at is null`.execute(trx)
  await sql`insert into use_grant (id, user_id, action, resource_id, decision_id, binding, token_digest, max_uses, uses, created_at, expires_at)
    values (${grantId}::uuid, ${userId}::uuid, ${action}::text, ${resourceId}::uuid, ${decisionId}::uuid, ${binding}::text, ${tokenDigest}::bytea,
      ${maxUses}::int, 1, ${now}::timestamptz, ${expiresAt}::timestamptz)`.execute(trx)
  return { grantId, decisionId, expiresAt }
}

const same = ({ userId, action, resourceId }: UseRequest) => sql`user_id = ${userId}::uuid and action = ${action}::text and resource_id = ${resourceId}::uuid`
