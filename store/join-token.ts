import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { JoinRequest, JoinToken } from '#schemas/connector.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { AccountId, ConnectorId, type OrganizationId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import { lockConnector } from './connector.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'

const prefix = 'lhj_'
const secretBytes = 32

/**
 * Makes the one token with which a connector joins: `lhj_` and account, connector and 32 random bytes as base64url.
 * Older tokens of the connector end; one that was half joined starts over; one that has joined may only repeat its join, with
 * the keys that it has. Only the SHA-256 of the token is stored.
 *
 * @throws LeaseholdError `not-found`, `connector-revoked`
 */
export async function issueJoinToken(trx: Transaction, account: AccountId, id: ConnectorId, actor: Actor): Promise<JoinToken> {
  const connector = await lockConnector(trx, id)
  if (connector.state === 'revoked') throw new LeaseholdError('connector-revoked')
  const token = prefix + Buffer.concat([bytesOf(account), bytesOf(id), randomBytes(secretBytes)]).toString('base64url')
  await sql`delete from join_token where connector_id = ${id}::uuid`.execute(trx)
  await sql`update connector set state = 'pending', nkey = null, encryption_jwk = null, user_jwt = null, version = version + 1
    where id = ${id}::uuid and state = 'joining'`.execute(trx)
  const { rows } = await sql<{ expires_at: Date }>`
    insert into join_token (connector_id, hash, expires_at) values (${id}::uuid, ${hashOf(token)}::bytea, app_clock() + interval '15 minutes')
    returning expires_at`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'connector.join_token_issued',
    effect: 'permit',
    outcome: 'success',
    organizationId: connector.organizationId,
    connectorId: id,
  })
  return { joinToken: token, joinTokenExpiresAt: rows[0]?.expires_at.toISOString() ?? '' }
}

/** Whom the token names; undefined when it has no such form. It proves nothing yet. */
export function readJoinToken(token: string): { readonly accountId: AccountId; readonly connectorId: ConnectorId } | undefined {
  if (!/^lhj_[A-Za-z0-9_-]{86}$/.test(token)) return undefined
  const bytes = Buffer.from(token.slice(prefix.length), 'base64url')
  const accountId = AccountId.safeParse(uuidOf(bytes.subarray(0, 16)))
  const connectorId = ConnectorId.safeParse(uuidOf(bytes.subarray(16, 32)))
  return accountId.success && connectorId.success ? { accountId: accountId.data, connectorId: connectorId.data } : undefined
}

export interface Joined {
  readonly connectorId: ConnectorId
  readonly organizationId: OrganizationId
  /** What the bridge minted; null: not yet. */
  readonly userJwt: string | null
}

/**
 * Takes a connector's first contact. The first key that comes with a token owns it; the same key asks again until the
 * bridge has minted its identity, and gets the same answer for an hour.
 *
 * @returns undefined when the token is unknown, over, or another key has used it
 */
export async function joinConnector(
  trx: Transaction,
  connectorId: ConnectorId,
  { token, nkey, encryptionJwk }: JoinRequest,
  actor: Actor,
): Promise<Joined | undefined> {
  const connector = await lockConnector(trx, connectorId)
  const refuse = async (): Promise<undefined> => {
    await appendAudit(trx, {
      actor,
      action: 'connector.joined',
      effect: 'deny',
      outcome: 'invalid-join-token',
      organizationId: connector.organizationId,
      connectorId,
      detail: { nkey },
    })
  }
  const { rows } = await sql<{ hash: Buffer; usable: boolean; used_nkey: string | null }>`
    select hash, used_nkey, case when used_at is null then expires_at > app_clock() else used_at > app_clock() - interval '1 hour' end as usable
    from join_token where connector_id = ${connectorId}::uuid`.execute(trx)
  const given = hashOf(token)
  const found = rows.find((row) => timingSafeEqual(row.hash, given))
  if (found === undefined || !found.usable || (found.used_nkey !== null && found.used_nkey !== nkey)) return refuse()
  if (found.used_nkey === null && !(await useToken(trx, connector, { token, nkey, encryptionJwk }, actor))) return refuse()
  return { connectorId, organizationId: connector.organizationId, userJwt: await usableJwt(trx, connectorId) }
}

/** Null until the bridge has minted one, and again when it is over: the bridge is owed a look and mints another. */
async function usableJwt(trx: Transaction, id: ConnectorId): Promise<string | null> {
  const { rows } = await sql<{ user_jwt: string | null }>`
    select user_jwt from connector where id = ${id}::uuid and state = 'active' and coalesce(user_jwt_expires_at > app_clock(), true)`.execute(trx)
  return rows[0]?.user_jwt ?? null
}

async function useToken(
  trx: Transaction,
  { id, organizationId }: { readonly id: ConnectorId; readonly organizationId: OrganizationId },
  { token, nkey, encryptionJwk }: JoinRequest,
  actor: Actor,
): Promise<boolean> {
  const { rows } = await sql<{ state: string; same: boolean; taken: boolean }>`
    select state, nkey is not distinct from ${nkey}::text and encryption_jwk->>'x' is not distinct from ${encryptionJwk.x}::text as same,
      exists (select from connector o where o.nkey = ${nkey}::text and o.id <> ${id}::uuid) as taken from connector where id = ${id}::uuid`.execute(trx)
  const [connector] = rows
  if (connector === undefined || connector.taken || (connector.state === 'active' && !connector.same)) return false
  await sql`update join_token set used_at = app_clock(), used_nkey = ${nkey}::text where connector_id = ${id}::uuid and hash = ${hashOf(token)}::bytea`.execute(
    trx,
  )
  await sql`update connector set state = 'joining', nkey = ${nkey}::text, encryption_jwk = ${JSON.stringify(encryptionJwk)}::jsonb, version = version + 1
    where id = ${id}::uuid and state = 'pending'`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'connector.joined',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    connectorId: id,
    detail: { nkey, again: connector.state === 'active' },
  })
  await owe(trx, 'connector', id)
  return true
}

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest()
const bytesOf = (uuid: string): Buffer => Buffer.from(uuid.replaceAll('-', ''), 'hex')
const uuidOf = (bytes: Buffer): string => bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
