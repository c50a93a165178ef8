import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { hasForm, type CredentialType } from '#schemas/credential-form.ts'
import type { IdentityId, VaultId } from '#schemas/ids.ts'
import { settingFaults, type ChangeIdentity, type Identity } from '#schemas/identity.ts'
import { appendAudit } from './audit.ts'
import { scheduleCheck } from './check-schedule.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { shredUnused, storeVersion, type StoredValue } from './credential.ts'
import { exposeAgain, isOwed } from './exposure.ts'
import { setIdentityHosts } from './identity-host.ts'
import { readIdentity } from './identity.ts'
import { fieldsOf, merged } from './merged.ts'
import { expectVersion, refuseDuplicates, refuseFaults } from './refusals.ts'
import { refuseInUse } from './refuse-in-use.ts'
import { beginOwed } from './rotate-onward.ts'
import { refuseUnfitName, refuseUnkeepable } from './rotatable.ts'

export interface IdentityChange {
  readonly id: IdentityId
  /** Its `credential` is not looked at: `seal` makes the value. `identityGroupId` neither: see moveIdentity. */
  readonly change: Omit<ChangeIdentity, 'credential' | 'identityGroupId'>
  /** A person stores another credential: seals it for the version that it gets. Absent: the credential stays. */
  readonly seal?: (version: number) => StoredValue
  readonly actor: Actor
  /** What the caller went by: whose right was checked, whose key `seal` uses, which form the value has. */
  readonly seen?: { readonly vaultId: VaultId; readonly credentialType: CredentialType }
  readonly expectedVersion?: number | undefined
}

/**
 * Changes an identity. Another credential, user name or other hosts are refused while somebody holds it or a connector
 * changes it; another credential cancels a rotation that nobody has claimed.
 *
 * @throws LeaseholdError `not-found`, `precondition-failed`, `validation-failed`, `already-exists`, `identity-checked-out`, `identity-rotating`, `rotation-open`, `busy`
 */
export async function changeIdentity(trx: Transaction, { id, change, seal, actor, seen, expectedVersion }: IdentityChange): Promise<Identity> {
  await lockIdentity(trx, id)
  const before = await readIdentity(trx, id)
  expectVersion(before.version, expectedVersion)
  // Moved, or made another type of credential, since the caller looked: the caller looks again.
  if (seen !== undefined && (seen.vaultId !== before.identityGroupId || seen.credentialType !== before.credentialType)) {
    throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
  }
  if (before.state === 'enrolling') throw new LeaseholdError('rotation-open', before.rotationId === null ? {} : { rotationId: before.rotationId })
  const after = merged(before, change)
  refuseFaults([...settingFaults(after), ...(seal === undefined ? formFaults(before, after) : [])])
  const moves = change.username !== undefined || change.hostIds !== undefined
  if (moves || seal !== undefined) await refuseInUse(trx, id, actor, seal !== undefined)
  await writeSettings(trx, id, after, change.rotationIntervalDays !== undefined && change.rotationIntervalDays !== before.rotationIntervalDays)
  if (change.hostIds !== undefined) await setIdentityHosts(trx, after, change.hostIds)
  if (moves || change.credentialType !== undefined) await refuseUnfitName(trx, id)
  if (promises.some((field) => change[field] !== undefined)) await refuseUnkeepable(trx, id, after)
  const version = seal === undefined ? undefined : await replaceCredential(trx, id, seal, actor)
  const newChecks = change.checkIntervalHours !== undefined && change.checkIntervalHours !== before.checkIntervalHours
  if (moves || seal !== undefined || newChecks) await scheduleCheck(trx, id, 0)
  await appendAudit(trx, {
    actor,
    action: 'identity.changed',
    effect: 'permit',
    outcome: 'success',
    organizationId: before.organizationId,
    vaultId: before.identityGroupId,
    identityId: id,
    detail: { fields: [...fieldsOf(change), ...(seal === undefined ? [] : ['credential'])], ...(version === undefined ? {} : { credentialVersion: version }) },
  })
  return readIdentity(trx, id)
}

/** What decides whether a promise to rotate can be kept; other changes leave an old one as it is. */
const promises = ['credentialType', 'hostIds', 'rotateAfterUse', 'rotateAfterAccessLoss', 'rotationIntervalDays', 'reconcileDrift'] as const

/** The stored value was never held against the form of another type. */
const formFaults = (before: Identity, after: Identity) =>
  after.credentialType !== before.credentialType && hasForm(after.credentialType)
    ? [{ path: 'credential', message: 'is required with this credentialType' }]
    : []

/** Another interval sets another date, but does not put off the next attempt at what is owed. */
async function writeSettings(trx: Transaction, id: IdentityId, after: Identity, newInterval: boolean): Promise<void> {
  await refuseDuplicates(
    sql`
    update identity i set name = ${after.name}::text, username = ${after.username}::text, credential_type = ${after.credentialType}::text,
      rotation_interval_days = ${after.rotationIntervalDays ?? null}::int, rotate_after_use = ${after.rotateAfterUse}::boolean,
      rotate_after_access_loss = ${after.rotateAfterAccessLoss}::boolean,
      check_interval_hours = ${after.checkIntervalHours ?? null}::int, reconcile_drift = ${after.reconcileDrift}::boolean,
      allow_concurrent_checkout = ${after.allowConcurrentCheckout}::boolean, max_concurrent_sessions = ${after.maxConcurrentSessions ?? null}::int,
      exposure = ${after.exposure}::text, after_use_grace_minutes = ${after.afterUseGraceMinutes ?? null}::int,
      password_policy = ${after.passwordPolicy == null ? null : JSON.stringify(after.passwordPolicy)}::jsonb, state = ${after.state}::text, version = version + 1,
      next_rotation_at = case when ${newInterval}::boolean then least(case when ${isOwed} then next_rotation_at end, (
        select c.created_at + make_interval(days => ${after.rotationIntervalDays ?? null}::int) from credential_version c
        where c.identity_id = i.id and c.version = i.current_version)) else next_rotation_at end
    where i.id = ${id}::uuid`.execute(trx),
  )
}

/** A person says that this is the value from now on, on every host; a login has yet to prove it. */
async function replaceCredential(trx: Transaction, id: IdentityId, seal: (version: number) => StoredValue, actor: Actor): Promise<number> {
  const { rows } = await sql<{ version: number }>`
    select coalesce(max(version), 0) + 1 as version from credential_version where identity_id = ${id}::uuid`.execute(trx)
  const version = rows[0]?.version ?? 1
  const value = seal(version)
  await storeVersion(trx, id, { version, ...value }, null)
  await sql`update identity set current_version = ${version}::int, draining_since = null,
    next_rotation_at = app_clock() + make_interval(days => rotation_interval_days) where id = ${id}::uuid`.execute(trx)
  await sql`update identity_host set known_version = ${version}::int, sync = 'unknown', checked_at = null, unreachable_since = null where identity_id = ${id}::uuid`.execute(
    trx,
  )
  await shredUnused(trx, id)
  if (await exposeAgain(trx, id, version, value.sameAs)) await beginOwed(trx, [id], actor)
  return version
}
