import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { parameterFaults, type ChangeHost, type CreateHost, type Host } from '#schemas/host.ts'
import type { ConnectorId, HostId, IdentityId, OrganizationId, RotationId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { checksCancelled } from './credential-check.ts'
import { readHost } from './host.ts'
import { oweOffers, pauseLeft, type OfferableJob } from './job.ts'
import { fieldsOf, merged } from './merged.ts'
import { expectVersion, refuseDuplicates, refuseFaults } from './refusals.ts'

/** @throws LeaseholdError `not-found` (organization, connector or admin identity), `validation-failed`, `already-exists` */
export async function createHost(trx: Transaction, id: HostId, body: CreateHost, actor: Actor): Promise<Host> {
  const { organizationId, adminIdentityId = null, parameters = {} } = body
  refuseFaults(parameterFaults(body.adapter, parameters))
  // Shared: a new host has no accounts whose claims must wait, and many that are made at once with one admin do not wait for each other.
  await sql`select from identity where id = ${adminIdentityId}::uuid for share`.execute(trx)
  await checkReferences(trx, id, { organizationId, adminIdentityId, connectorId: body.connectorId })
  await refuseDuplicates(
    sql`
    insert into host (id, organization_id, name, address, port, adapter, connector_id, admin_identity_id, parameters)
    values (${id}::uuid, ${organizationId}::uuid, ${body.name}::text, ${body.address}::text, ${body.port}::int, ${body.adapter}::text,
      ${body.connectorId}::uuid, ${adminIdentityId}::uuid, ${JSON.stringify(parameters)}::jsonb)`.execute(trx),
  )
  await appendAudit(trx, {
    actor,
    action: 'host.created',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    hostId: id,
    connectorId: body.connectorId,
    ...(adminIdentityId === null ? {} : { identityId: adminIdentityId }),
  })
  return readHost(trx, id)
}

/**
 * Changes a host; refused while a connector holds one of its accounts or nobody knows what it has. Waiting jobs go to its
 * new connector, and checks of how it was end.
 *
 * @throws LeaseholdError `not-found`, `precondition-failed`, `validation-failed`, `already-exists`, `identity-rotating`, `busy`
 */
export async function changeHost(trx: Transaction, id: HostId, change: ChangeHost, actor: Actor, expectedVersion?: number): Promise<Host> {
  const before = await lockHost(trx, id, change.adminIdentityId ?? null)
  expectVersion(before.version, expectedVersion)
  const after = merged(before, change)
  refuseFaults(parameterFaults(after.adapter, after.parameters))
  if (fieldsOf(change).some((field) => field !== 'name')) {
    await refuseHeld(trx, id)
    await checksCancelled(sql`k.host_id = ${id}::uuid`).execute(trx)
  }
  await checkReferences(trx, id, after)
  await refuseDuplicates(
    sql`
    update host set name = ${after.name}::text, address = ${after.address}::text, port = ${after.port}::int, connector_id = ${after.connectorId}::uuid,
      admin_identity_id = ${after.adminIdentityId}::uuid, parameters = ${JSON.stringify(after.parameters)}::jsonb, version = version + 1
    where id = ${id}::uuid`.execute(trx),
  )
  if (after.connectorId !== before.connectorId) await moveJobs(trx, id, after.connectorId)
  await appendAudit(trx, {
    actor,
    action: 'host.changed',
    effect: 'permit',
    outcome: 'success',
    organizationId: before.organizationId,
    hostId: id,
    connectorId: after.connectorId,
    detail: { fields: fieldsOf(change) },
  })
  return readHost(trx, id)
}

/** @throws LeaseholdError `not-found`, `precondition-failed`, `in-use` (identities name it), `rotation-open`, `busy` */
export async function deleteHost(trx: Transaction, id: HostId, actor: Actor, expectedVersion?: number): Promise<void> {
  const host = await lockHost(trx, id, null)
  expectVersion(host.version, expectedVersion)
  const { rows } = await sql<{ identities: number; rotation: RotationId | null }>`
    select (select count(*)::int from identity_host where host_id = ${id}::uuid) as identities,
      (select rotation_id from job where host_id = ${id}::uuid and state in ('waiting', 'claimed', 'doubt') limit 1) as rotation`.execute(trx)
  const [used] = rows
  if (used !== undefined && used.rotation !== null) throw new LeaseholdError('rotation-open', { rotationId: used.rotation })
  if (used !== undefined && used.identities > 0) throw new LeaseholdError('in-use', { detail: `${used.identities} identities name this host` })
  await sql`update host set deleted_at = app_clock(), version = version + 1 where id = ${id}::uuid`.execute(trx)
  await appendAudit(trx, { actor, action: 'host.deleted', effect: 'permit', outcome: 'success', organizationId: host.organizationId, hostId: id })
}

/** Locks in the order of all decisions: identities first. A claim of a job on this host waits, or was committed before and is seen. */
async function lockHost(trx: Transaction, id: HostId, adminId: IdentityId | null): Promise<Host> {
  await lockIdentities(trx, id, adminId)
  await sql`select from host where id = ${id}::uuid for no key update`.execute(trx)
  return readHost(trx, id)
}

async function lockIdentities(trx: Transaction, hostId: HostId, adminId: IdentityId | null): Promise<void> {
  await sql`select from identity i where i.id = ${adminId}::uuid or i.id in (select identity_id from identity_host where host_id = ${hostId}::uuid)
    order by i.id for no key update`.execute(trx)
}

async function refuseHeld(trx: Transaction, id: HostId): Promise<void> {
  const { rows } = await sql<{ rotation_id: RotationId }>`
    select rotation_id from job where host_id = ${id}::uuid and state in ('claimed', 'doubt') limit 1`.execute(trx)
  if (rows[0] !== undefined) throw new LeaseholdError('identity-rotating', { rotationId: rows[0].rotation_id, retryAfterSeconds: 5 })
}

interface References {
  readonly organizationId: OrganizationId
  readonly connectorId: ConnectorId
  readonly adminIdentityId: IdentityId | null
}

async function checkReferences(trx: Transaction, hostId: HostId, { organizationId, connectorId, adminIdentityId }: References): Promise<void> {
  const { rows } = await sql<{ connector: string | null; admin: boolean; changed: boolean }>`
    select (select state from connector where id = ${connectorId}::uuid and organization_id = ${organizationId}::uuid for key share) as connector,
      ${adminIdentityId}::uuid is null or exists (
        select from identity where id = ${adminIdentityId}::uuid and organization_id = ${organizationId}::uuid and deleted_at is null) as admin,
      exists (select from identity_host where host_id = ${hostId}::uuid and identity_id = ${adminIdentityId}::uuid) as changed`.execute(trx)
  const [found] = rows
  if (found === undefined || found.connector === null || !found.admin) throw new LeaseholdError('not-found')
  refuseFaults([
    ...(found.connector === 'revoked' ? [{ path: 'connectorId', message: 'must be a connector that is not revoked' }] : []),
    ...(found.changed ? [{ path: 'adminIdentityId', message: 'must not be an identity that is itself reset on this host' }] : []),
  ])
}

async function moveJobs(trx: Transaction, id: HostId, connectorId: ConnectorId): Promise<void> {
  const { rows } = await sql<OfferableJob>`
    update job set connector_id = ${connectorId}::uuid where host_id = ${id}::uuid and state = 'waiting' returning id, ${pauseLeft} as pause`.execute(trx)
  await oweOffers(trx, rows)
}
