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
  const [, clock, open] = await Promise.all([
    sql`select pg_advisory_xact_lock(hashtextextended(${`use ${userId} ${action} ${resourceId}`}::text, 0))`.execute(trx),
    sql<{ now: Date; decided: boolean }>`
      select app_clock() as now, exists (select from use_grant where ${same(request)} and token_digest = ${tokenDigest}::bytea and expires_at > app_clock()) as decided`.execute(
      trx,
    ),
    sql<Row & { readonly used: boolean }>`
      select g.id, g.decision_id as "decisionId", g.binding, g.max_uses as "maxUses", g.uses, g.expires_at as "expiresAt",
        exists (select from used_token t where t.use_grant_id = g.id and t.digest = ${tokenDigest}::bytea) as used
      from use_grant g where ${same(request)} and g.closed_at is null`.execute(trx),
  ])
  const [row] = open.rows
  const { now, decided } = clock.rows[0] as { now: Date; decided: boolean }
  const asked = { binding: request.binding, tokenUsed: request.tokensCountOnce && row?.used === true, tokenDecided: decided }
  const verdict = judgeUse(row, asked, now)
  if (verdict.kind === 'refuse') throw new LeaseholdError(verdict.code, { until: verdict.until.toISOString() })
  const reserved = verdict.kind === 'count' && row !== undefined ? await countUse(trx, row) : await openUse(trx, request, now)
  if (request.tokensCountOnce) await sql`insert into used_token values (default, ${reserved.grantId}::uuid, ${tokenDigest}::bytea)`.execute(trx)
  return reserved
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
