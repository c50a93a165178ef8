import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { ChangeConnector, Connector, CreateConnector } from '#schemas/connector.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { ConnectorId, OrganizationId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { inScope, pageClause, type Scope } from './page.ts'
import { expectVersion, refuseDuplicates } from './refusals.ts'

/** Whether connector `c` said hello within 30 seconds. */
export const isOnline = sql`(c.state = 'active' and coalesce(c.last_seen_at > app_clock() - interval '30 seconds', false))`

const connectors = sql`
  select c.id, c.organization_id as "organizationId", c.name, c.state, ${isOnline} as online, c.last_seen_at as "lastSeenAt", c.build, c.version,
    c.created_at as "createdAt" from connector c`

type Row = Omit<Connector, 'createdAt' | 'lastSeenAt'> & { readonly createdAt: Date; readonly lastSeenAt: Date | null }
const fromRow = (row: Row): Connector => ({ ...row, createdAt: row.createdAt.toISOString(), lastSeenAt: row.lastSeenAt?.toISOString() ?? null })

/** @throws LeaseholdError `not-found` */
export async function readConnector(trx: Transaction, id: ConnectorId): Promise<Connector> {
  const { rows } = await sql<Row>`${connectors} where c.id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/** Revoked ones included. @param organizationId null: of all organizations */
export async function listConnectors(trx: Transaction, scope: Scope, organizationId: OrganizationId | null, page: PageRequest): Promise<Page<Connector>> {
  const { rows } = await sql<Row>`${connectors} where ${inScope(scope, sql`c.organization_id`)}
    and (${organizationId}::uuid is null or c.organization_id = ${organizationId}::uuid) ${pageClause(sql`c.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** @throws LeaseholdError `not-found` (the organization), `already-exists` */
export async function createConnector(trx: Transaction, id: ConnectorId, body: CreateConnector, actor: Actor): Promise<Connector> {
  await refuseDuplicates(
    sql`
    insert into connector (id, organization_id, name) values (${id}::uuid, ${body.organizationId}::uuid, ${body.name}::text)`.execute(trx),
  )
  await appendAudit(trx, { actor, action: 'connector.created', effect: 'permit', outcome: 'success', organizationId: body.organizationId, connectorId: id })
  return readConnector(trx, id)
}

/** @throws LeaseholdError `not-found`, `precondition-failed`, `already-exists` */
export async function changeConnector(
  trx: Transaction,
  id: ConnectorId,
  { name }: ChangeConnector,
  actor: Actor,
  expectedVersion?: number,
): Promise<Connector> {
  const before = await lockConnector(trx, id)
  expectVersion(before.version, expectedVersion)
  await refuseDuplicates(sql`update connector set name = ${name ?? before.name}::text, version = version + 1 where id = ${id}::uuid`.execute(trx))
  await appendAudit(trx, { actor, action: 'connector.changed', effect: 'permit', outcome: 'success', organizationId: before.organizationId, connectorId: id })
  return readConnector(trx, id)
}

/**
 * Deregisters a connector (S0): from the commit on its claims and results are refused; the bridge owes cutting its
 * connection. Its hosts stay and wait for another connector. Revoking a revoked one changes nothing.
 *
 * @param expectedVersion from If-Match; absent: any
 * @throws LeaseholdError `not-found`, `precondition-failed`, `busy`
 */
export async function revokeConnector(trx: Transaction, id: ConnectorId, actor: Actor, expectedVersion?: number): Promise<Connector> {
  const connector = await lockConnector(trx, id)
  expectVersion(connector.version, expectedVersion)
  if (connector.state === 'revoked') return connector
  await sql`update connector set state = 'revoked', revoked_at = app_clock(), user_jwt = null, version = version + 1 where id = ${id}::uuid`.execute(trx)
  await sql`delete from join_token where connector_id = ${id}::uuid`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'connector.revoked',
    effect: 'permit',
    outcome: 'success',
    organizationId: connector.organizationId,
    connectorId: id,
  })
  await owe(trx, 'connector', id)
  return readConnector(trx, id)
}

/** A claim in the middle of its decision holds the row `FOR KEY SHARE`: this waits for it. @throws LeaseholdError `not-found` */
export async function lockConnector(trx: Transaction, id: ConnectorId): Promise<Connector> {
  await sql`select from connector where id = ${id}::uuid for update`.execute(trx)
  return readConnector(trx, id)
}
