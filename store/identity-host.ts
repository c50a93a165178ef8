import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { HostId, IdentityId, OrganizationId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'
import { refuseFaults } from './refusals.ts'

/**
 * Ties an identity to exactly these hosts. A new one is taken to have the present version, unproven until a login proves it.
 *
 * @throws LeaseholdError `not-found` (no such host in the organization), `validation-failed` (it resets the others there)
 */
export async function setIdentityHosts(
  trx: Transaction,
  identity: { readonly id: IdentityId; readonly organizationId: OrganizationId },
  hostIds: readonly HostId[],
): Promise<void> {
  const { rows } = await sql<{ admin: boolean }>`
    select admin_identity_id is not distinct from ${identity.id}::uuid as admin from host
    where id = any(${hostIds}::uuid[]) and organization_id = ${identity.organizationId}::uuid and deleted_at is null order by id for share`.execute(trx)
  if (rows.length < hostIds.length) throw new LeaseholdError('not-found')
  refuseFaults(rows.some((host) => host.admin) ? [{ path: 'hostIds', message: 'must not name a host whose admin identity this is' }] : [])
  await sql`delete from identity_host where identity_id = ${identity.id}::uuid and host_id <> all(${hostIds}::uuid[])`.execute(trx)
  await sql`
    insert into identity_host (identity_id, host_id, known_version, sync)
    select i.id, unnest(${hostIds}::uuid[]), i.current_version, 'unknown' from identity i where i.id = ${identity.id}::uuid
    on conflict (account_id, identity_id, host_id) do nothing`.execute(trx)
}
