import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, HostId, IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import type { CheckoutState } from '#schemas/rules/checkout.ts'
import { legacyKeyId } from '#schemas/sealed.ts'
import type { JobState, LeaseState } from '#schemas/states.ts'
import type { StepUpClass, StepUpRule } from '#schemas/step-up.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import type { Transaction } from './connection.ts'
import { isAlive } from './exposure.ts'

/** An identity with everything that a checkout, a reveal or a break-glass decides on. */
export interface CheckoutFacts extends CheckoutState {
  readonly identityId: IdentityId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly username: string
  readonly exposure: 'revealable' | 'inject_only'
  readonly maximumLeaseMinutes: number | null
  readonly breakGlassMaximumMinutes: number
  /** The organization takes logins for break-glass that the identity provider knows nothing of. */
  readonly breakGlassWithoutProvider: boolean
  /** Which logins the organization asks for, where it differs from the default. */
  readonly stepUp: Partial<Record<StepUpClass, StepUpRule>>
  /** Key that new values are sealed with. */
  readonly vaultKey: VaultKeyRef
  /** Versions of the organization secret that stored values of this identity need, newest included. */
  readonly keyVersions: readonly number[]
  /** Whether values from before vault keys may be read. */
  readonly legacyOpen: boolean
  /** Whether there are such values of this identity. */
  readonly hasLegacyValues: boolean
  /** Leases past their end that nobody has ended yet; not among `leases`. */
  readonly overdue: readonly LeaseId[]
  /** Slots of all leases that have not ended, overdue ones included. */
  readonly takenSlots: readonly number[]
  /** The lease that this very request made before, when it is a retry. */
  readonly replayOf: {
    readonly state: LeaseState
    readonly identityId: IdentityId
    readonly requestHash: Uint8Array
    readonly credentialVersion: number
  } | null
  /** Whether somebody else must agree to a checkout. */
  readonly approvalRequired: boolean
  /** When the next scheduled rotation is due; null: never. */
  readonly nextRotationAt: Date | null
  readonly now: Date
}

interface Row {
  account_id: AccountId
  id: IdentityId
  organization_id: OrganizationId
  vault_id: VaultId
  username: string
  exposure: 'revealable' | 'inject_only'
  state: 'active' | 'disabled'
  allow_concurrent_checkout: boolean
  max_concurrent_sessions: number | null
  draining_since: Date | null
  after_use_grace_minutes: number | null
  current_version: number
  salt: Buffer
  secret_version: number | null
  legacy_open: boolean
  maximum_lease_minutes: number | null
  break_glass_maximum_minutes: number
  break_glass_without_provider: boolean
  step_up: Partial<Record<StepUpClass, StepUpRule>>
  now: Date
  key_ids: string[]
  leases: { id: LeaseId; slot: number; userId: UserId; holder: string | null; expiresAt: string; overdue: boolean }[]
  hosts: { hostId: HostId; knownVersion: number }[]
  open_rotation: { id: RotationId; stagedVersion: number | null; jobs: { hostId: HostId; state: JobState }[] } | null
  owed_since: Date | null
  next_rotation_at: Date | null
  approval_required: boolean | null
  replay: { state: LeaseState; identityId: IdentityId; requestHash: string; credentialVersion: number } | null
}

/**
 * Reads it all in one statement. Deciders call it after `lockIdentity`; without the lock it only answers losers early.
 *
 * @param leaseId id that this request's lease would have; null: the caller makes no lease
 * @throws LeaseholdError `not-found`, `organization-secret-not-found`
 */
export async function readCheckoutFacts(trx: Transaction, identityId: IdentityId, leaseId: LeaseId | null): Promise<CheckoutFacts> {
  const { rows } = await sql<Row>`
    with clock as materialized (select app_clock() as now)
    select i.account_id, i.id, i.organization_id, i.vault_id, i.username, i.exposure, i.state, i.allow_concurrent_checkout, i.max_concurrent_sessions,
      i.draining_since, i.after_use_grace_minutes, i.current_version, i.next_rotation_at, v.salt, o.secret_version, o.legacy_open, o.maximum_lease_minutes, o.break_glass_maximum_minutes, o.break_glass_without_provider, clock.now,
      coalesce((select jsonb_object_agg(s.class, jsonb_build_object('acr', s.acr, 'maxAgeSeconds', s.max_age_seconds)) from step_up_rule s
        where s.organization_id = i.organization_id), '{}') as step_up,
      array(select distinct c.key_id from credential_version c where c.identity_id = i.id and c.ciphertext is not null) as key_ids,
      coalesce((select jsonb_agg(jsonb_build_object('id', l.id, 'slot', l.slot, 'userId', l.user_id, 'holder', coalesce(u.name, u.sub), 'expiresAt', l.expires_at, 'overdue', l.expires_at <= clock.now))
        from lease l join account_user u on u.id = l.user_id where l.identity_id = i.id and l.state = 'active'), '[]') as leases,
      coalesce((select jsonb_agg(jsonb_build_object('hostId', h.host_id, 'knownVersion', h.known_version)) from identity_host h where h.identity_id = i.id), '[]') as hosts,
      (select jsonb_build_object('id', r.id, 'stagedVersion', r.staged_version, 'jobs', coalesce((select jsonb_agg(jsonb_build_object('hostId', j.host_id, 'state', j.state)) from job j where j.rotation_id = r.id), '[]'))
        from rotation r where r.identity_id = i.id and r.state = 'pending') as open_rotation,
      (select min(e.must_die_at) from exposure e where e.identity_id = i.id and e.must_die_at is not null
        and ${isAlive}) as owed_since,
      (select p.required from approval_policy p where p.deleted_at is null and (p.identity_id = i.id or p.vault_id = i.vault_id)
        order by p.identity_id nulls last limit 1) as approval_required,
      (select jsonb_build_object('state', l.state, 'identityId', l.identity_id, 'requestHash', encode(l.request_hash, 'hex'), 'credentialVersion', l.credential_version)
        from lease l where l.id = ${leaseId}::uuid) as replay
    from identity i join vault v on v.id = i.vault_id join organization o on o.id = i.organization_id, clock
    where i.id = ${identityId}::uuid and i.deleted_at is null`.execute(trx)
  const row = rows[0]
  if (row === undefined) throw new LeaseholdError('not-found')
  if (row.secret_version === null) throw new LeaseholdError('organization-secret-not-found')
  const leases = row.leases.map((lease) => ({ ...lease, expiresAt: new Date(lease.expiresAt) }))
  return {
    identityId: row.id,
    organizationId: row.organization_id,
    vaultId: row.vault_id,
    username: row.username,
    exposure: row.exposure,
    active: row.state === 'active',
    allowConcurrentCheckout: row.allow_concurrent_checkout,
    maxConcurrentSessions: row.max_concurrent_sessions,
    draining: row.draining_since !== null,
    afterUseGraceMinutes: row.after_use_grace_minutes,
    currentVersion: row.current_version,
    leases: leases.filter((lease) => !lease.overdue),
    overdue: leases.filter((lease) => lease.overdue).map((lease) => lease.id),
    takenSlots: leases.map((lease) => lease.slot),
    hosts: row.hosts,
    openRotation: row.open_rotation,
    owedSince: row.owed_since,
    maximumLeaseMinutes: row.maximum_lease_minutes,
    breakGlassMaximumMinutes: row.break_glass_maximum_minutes,
    breakGlassWithoutProvider: row.break_glass_without_provider,
    stepUp: row.step_up,
    vaultKey: { accountId: row.account_id, organizationId: row.organization_id, vaultId: row.vault_id, vaultSalt: row.salt, keyVersion: row.secret_version },
    keyVersions: keyVersionsOf(row.key_ids, row.secret_version),
    legacyOpen: row.legacy_open,
    hasLegacyValues: row.key_ids.includes(legacyKeyId),
    replayOf: row.replay && { ...row.replay, requestHash: Buffer.from(row.replay.requestHash, 'hex') },
    approvalRequired: row.approval_required ?? false,
    nextRotationAt: row.next_rotation_at,
    now: row.now,
  }
}

/** Takes the lock that every decision about an identity waits for; later statements of the transaction read behind it. */
export async function lockIdentity(trx: Transaction, identityId: IdentityId): Promise<void> {
  const { rows } = await sql`select from identity where id = ${identityId}::uuid for no key update`.execute(trx)
  if (rows.length === 0) throw new LeaseholdError('not-found')
}

/** `o3` was sealed under version 3 of the organization secret. A version that there is not yet is somebody's invention. */
function keyVersionsOf(keyIds: readonly string[], newest: number): number[] {
  const versions = keyIds.map((id) => Number(/^o(\d+)$/.exec(id)?.[1])).filter((version) => version >= 1 && version <= newest)
  return [...new Set([...versions, newest])].sort((one, other) => one - other)
}
