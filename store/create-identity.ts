import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId } from '#schemas/ids.ts'
import { settingFaults, type CreateIdentity, type Identity } from '#schemas/identity.ts'
import { appendAudit } from './audit.ts'
import { scheduleCheck } from './check-schedule.ts'
import type { Transaction } from './connection.ts'
import { storeVersion, type StoredValue } from './credential.ts'
import { setIdentityHosts } from './identity-host.ts'
import { readIdentity } from './identity.ts'
import { refuseDuplicates, refuseFaults } from './refusals.ts'
import { refuseUnfitName, refuseUnkeepable } from './rotatable.ts'
import { lockVault, readVault } from './vault.ts'

/**
 * Adds a credential to a vault (S2 "Adding credentials") as version 1.
 *
 * @param body its `credential` is not looked at: `value` is that, sealed with the key of the vault for (id, version 1)
 * @throws LeaseholdError `not-found` (vault or host), `validation-failed`, `already-exists`
 */
export async function createIdentity(
  trx: Transaction,
  id: IdentityId,
  body: Omit<CreateIdentity, 'credential'>,
  value: StoredValue,
  actor: Actor,
): Promise<Identity> {
  const {
    identityGroupId,
    hostIds = [],
    rotateAfterUse = false,
    rotateAfterAccessLoss = false,
    allowConcurrentCheckout = false,
    maxConcurrentSessions = null,
    rotationIntervalDays = null,
    checkIntervalHours = null,
    reconcileDrift = false,
  } = body
  refuseFaults(settingFaults({ ...body, hostIds, rotateAfterUse, reconcileDrift, allowConcurrentCheckout, maxConcurrentSessions }))
  await lockVault(trx, identityGroupId, 'use')
  const { organizationId } = await readVault(trx, identityGroupId)
  await refuseDuplicates(
    sql`
    insert into identity (id, organization_id, vault_id, name, username, credential_type, rotation_interval_days, rotate_after_use, rotate_after_access_loss, check_interval_hours, reconcile_drift, allow_concurrent_checkout,
      max_concurrent_sessions, exposure, after_use_grace_minutes, password_policy, next_rotation_at)
    values (${id}::uuid, ${organizationId}::uuid, ${identityGroupId}::uuid, ${body.name}::text, ${body.username}::text, ${body.credentialType}::text,
      ${rotationIntervalDays}::int, ${rotateAfterUse}::boolean, ${rotateAfterAccessLoss}::boolean, ${checkIntervalHours}::int, ${reconcileDrift}::boolean, ${allowConcurrentCheckout}::boolean, ${maxConcurrentSessions}::int,
      ${body.exposure ?? 'revealable'}::text, ${body.afterUseGraceMinutes ?? null}::int, ${body.passwordPolicy == null ? null : JSON.stringify(body.passwordPolicy)}::jsonb,
      app_clock() + make_interval(days => ${rotationIntervalDays}::int))`.execute(trx),
  )
  await storeVersion(trx, id, { version: 1, ...value }, null)
  await setIdentityHosts(trx, { id, organizationId }, hostIds)
  if (hostIds.length > 0) await refuseUnfitName(trx, id)
  await refuseUnkeepable(trx, id, { rotateAfterUse, rotateAfterAccessLoss, rotationIntervalDays, reconcileDrift })
  await scheduleCheck(trx, id, 0)
  await appendAudit(trx, {
    actor,
    action: 'identity.created',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    vaultId: identityGroupId,
    identityId: id,
    detail: { hosts: hostIds.length, rotateAfterUse, rotateAfterAccessLoss, rotationIntervalDays, checkIntervalHours, reconcileDrift },
  })
  return readIdentity(trx, id)
}
