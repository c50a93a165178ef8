import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, IdentityId, OrganizationId, RotationId, VaultId } from '#schemas/ids.ts'
import type { PasswordPolicy } from '#schemas/password-policy.ts'
import type { JobFacts, RotationFacts } from '#schemas/rotation-facts.ts'
import type { RotationPhase, RotationState, RotationTrigger } from '#schemas/states.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import type { Transaction } from './connection.ts'
import { readPasswordHistory, type OldHash } from './password-history.ts'

interface RotationRow {
  id: RotationId
  organization_id: OrganizationId
  vault_id: VaultId
  identity_id: IdentityId
  trigger: RotationTrigger
  state: RotationState
  phase: RotationPhase
  needs_attention: boolean
  version: number
  staged_version: number | null
  reason_class: string | null
  started_at: Date
  finished_at: Date | null
  stuck_in_ms: number | null
  jobs: JobFacts[]
}

/** The rotation as it is now, with its jobs; undefined when there is none in this account. */
export async function readRotationFacts(trx: Transaction, rotationId: RotationId): Promise<RotationFacts | undefined> {
  const { rows } = await sql<RotationRow>`
    with clock as materialized (select app_clock() as now)
    select r.id, r.organization_id, r.vault_id, r.identity_id, r.trigger, r.state, r.phase, r.needs_attention, r.version, r.staged_version,
      r.reason_class, r.started_at, r.finished_at,
      case when r.state = 'pending' and r.stuck_told_at is null then ceil(extract(epoch from r.started_at + make_interval(mins =>
        (select o.rotation_limit_minutes from organization o where o.id = r.organization_id)) - clock.now) * 1000)::float8 end as stuck_in_ms,
      coalesce((select jsonb_agg(jsonb_build_object('jobId', j.id, 'hostId', j.host_id, 'connectorId', j.connector_id, 'kind', j.kind, 'state', j.state,
        'epoch', j.epoch, 'attempts', j.attempts, 'reasonClass', j.reason_class,
        'claimRemainingMs', case when j.state = 'claimed' then ceil(extract(epoch from j.lease_until - clock.now) * 1000) end,
        'nextInMs', greatest(0, ceil(extract(epoch from j.next_at - clock.now) * 1000)),
        'doubtForMs', case when j.state in ('claimed', 'doubt') then floor(extract(epoch from clock.now - j.doubt_since) * 1000) end) order by j.id)
        from job j where j.rotation_id = r.id), '[]') as jobs
    from rotation r, clock where r.id = ${rotationId}::uuid`.execute(trx)
  const row = rows[0]
  return (
    row && {
      rotationId: row.id,
      organizationId: row.organization_id,
      vaultId: row.vault_id,
      identityId: row.identity_id,
      trigger: row.trigger,
      state: row.state,
      phase: row.phase,
      needsAttention: row.needs_attention,
      version: row.version,
      stagedVersion: row.staged_version,
      reasonClass: row.reason_class,
      startedAt: row.started_at.toISOString(),
      finishedAt: row.finished_at?.toISOString() ?? null,
      stuckInMs: row.stuck_in_ms,
      jobs: row.jobs,
    }
  )
}

/** As readRotationFacts. @throws LeaseholdError `not-found` */
export async function readRotation(trx: Transaction, rotationId: RotationId): Promise<RotationFacts> {
  const facts = await readRotationFacts(trx, rotationId)
  if (facts === undefined) throw new LeaseholdError('not-found')
  return facts
}

/** What a worker needs to make a new value. */
export interface RotationMaterial {
  readonly identityId: IdentityId
  readonly vaultKey: VaultKeyRef
  readonly credentialType: 'password' | 'ssh_key' | 'api_key' | 'other'
  /** The identity's own policy; null: what the target of its hosts takes. */
  readonly passwordPolicy: PasswordPolicy | null
  /** Of its hosts, each once. */
  readonly adapters: readonly string[]
  /** The version that the new value will have. */
  readonly nextVersion: number
  /** The value that this rotation has staged already; null: none yet. */
  readonly stagedVersion: number | null
  /** Values that must not come back. */
  readonly history: readonly OldHash[]
}

/** @throws LeaseholdError `not-found`, `organization-secret-not-found` */
export async function rotationMaterial(trx: Transaction, rotationId: RotationId): Promise<RotationMaterial> {
  const { rows } = await sql<{
    account_id: AccountId
    identity_id: IdentityId
    organization_id: OrganizationId
    vault_id: VaultId
    salt: Buffer
    secret_version: number | null
    credential_type: RotationMaterial['credentialType']
    password_policy: PasswordPolicy | null
    adapters: string[]
    next_version: number
    staged_version: number | null
  }>`
    select r.account_id, i.id as identity_id, i.organization_id, i.vault_id, v.salt, o.secret_version, i.credential_type, i.password_policy,
      array(select distinct h.adapter from identity_host ih join host h on h.id = ih.host_id where ih.identity_id = i.id order by 1) as adapters,
      (select coalesce(max(c.version), 0) + 1 from credential_version c where c.identity_id = i.id) as next_version, r.staged_version
    from rotation r join identity i on i.id = r.identity_id join vault v on v.id = i.vault_id join organization o on o.id = i.organization_id
    where r.id = ${rotationId}::uuid`.execute(trx)
  const row = rows[0]
  if (row === undefined) throw new LeaseholdError('not-found')
  if (row.secret_version === null) throw new LeaseholdError('organization-secret-not-found')
  return {
    identityId: row.identity_id,
    vaultKey: { accountId: row.account_id, organizationId: row.organization_id, vaultId: row.vault_id, vaultSalt: row.salt, keyVersion: row.secret_version },
    credentialType: row.credential_type,
    passwordPolicy: row.password_policy,
    adapters: row.adapters,
    nextVersion: row.next_version,
    stagedVersion: row.staged_version,
    history: await readPasswordHistory(trx, row.identity_id),
  }
}
