import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { EnrollBody, Host } from '#schemas/host.ts'
import type { HostId, IdentityId, RotationId, UserId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'
import { createIdentity } from './create-identity.ts'
import type { StoredValue } from './credential.ts'
import { readHost } from './host.ts'
import { insertRotation } from './insert-rotation.ts'
import { refuseFaults } from './refusals.ts'
import { readVault } from './vault.ts'

export interface Enrollment {
  readonly hostId: HostId
  readonly identityId: IdentityId
  readonly requestedBy: UserId
  readonly actor: Actor
  /** Stands for the password that the account has and nobody here knows; it is never set anywhere. */
  readonly unknown: StoredValue
}

/**
 * Takes an account of a host into a vault: its identity is there at once and of no use to anybody until the host has confirmed its
 * new password. What the host refuses leaves nothing behind; what nobody can tell waits for a person with both sides kept.
 *
 * @throws LeaseholdError `not-found` (host or vault, or a vault of another organization), `host-offline`, `validation-failed`, `already-exists`
 */
export async function enrollAccount(
  trx: Transaction,
  { hostId, identityId, requestedBy, actor, unknown }: Enrollment,
  { username, identityGroupId, name }: EnrollBody,
): Promise<RotationId> {
  await sql`select from host where id = ${hostId}::uuid and deleted_at is null for key share`.execute(trx)
  const host = await readHost(trx, hostId)
  const vault = await readVault(trx, identityGroupId)
  if (vault.organizationId !== host.organizationId) throw new LeaseholdError('not-found')
  if (!host.connectorOnline) throw new LeaseholdError('host-offline')
  await refuseUnfit(trx, host, username)
  const settings = { identityGroupId, name: name ?? `${username}@${host.name}`, username, hostIds: [hostId] }
  await createIdentity(trx, identityId, { ...settings, credentialType: 'password' }, unknown, actor)
  await sql`update identity set state = 'enrolling' where id = ${identityId}::uuid`.execute(trx)
  await sql`update identity_host set sync = 'unknown' where identity_id = ${identityId}::uuid`.execute(trx)
  return insertRotation(trx, identityId, { trigger: 'enroll', actor, requestedBy })
}

/** Somebody must be able to set the password, and not the account its own; no account is in two vaults. */
async function refuseUnfit(trx: Transaction, host: Host, username: string): Promise<void> {
  const { rows } = await sql<{ username: string; admin: boolean }>`
    select i.username, i.id = ${host.adminIdentityId}::uuid as admin from identity i
    where i.deleted_at is null and (i.id = ${host.adminIdentityId}::uuid or (i.username = ${username}::text
      and exists (select from identity_host h where h.identity_id = i.id and h.host_id = ${host.id}::uuid)))`.execute(trx)
  const admin = rows.find((row) => row.admin)
  refuseFaults([
    ...(admin === undefined ? [{ path: 'adminIdentityId', message: 'the host must have an admin identity, which sets the password' }] : []),
    ...(admin?.username === username ? [{ path: 'username', message: 'must not be the admin identity of the host' }] : []),
  ])
  if (rows.some((row) => !row.admin)) throw new LeaseholdError('already-exists')
}
