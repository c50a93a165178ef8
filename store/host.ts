import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { Host } from '#schemas/host.ts'
import type { HostId, OrganizationId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import { isOnline } from './connector.ts'
import type { Transaction } from './connection.ts'
import { inScope, pageClause, type Scope } from './page.ts'

const hosts = sql`
  select h.id, h.organization_id as "organizationId", h.name, h.address, h.port, h.adapter, h.connector_id as "connectorId",
    h.admin_identity_id as "adminIdentityId", h.parameters, h.version, h.created_at as "createdAt", ${isOnline} as "connectorOnline"
  from host h join connector c on c.id = h.connector_id`

type Row = Omit<Host, 'createdAt'> & { readonly createdAt: Date }
const fromRow = (row: Row): Host => ({ ...row, createdAt: row.createdAt.toISOString() })

/** @throws LeaseholdError `not-found` */
export async function readHost(trx: Transaction, id: HostId): Promise<Host> {
  const { rows } = await sql<Row>`${hosts} where h.id = ${id}::uuid and h.deleted_at is null`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/** @param organizationId null: of all organizations */
export async function listHosts(trx: Transaction, scope: Scope, organizationId: OrganizationId | null, page: PageRequest): Promise<Page<Host>> {
  const { rows } = await sql<Row>`${hosts} where h.deleted_at is null and ${inScope(scope, sql`h.organization_id`)}
    and (${organizationId}::uuid is null or h.organization_id = ${organizationId}::uuid) ${pageClause(sql`h.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}
