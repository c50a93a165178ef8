import { sql } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '#schemas/audit-event.ts'
import { RotationId, type IdentityId, type OrganizationId, type VaultId } from '#schemas/ids.ts'
import { owedTrigger } from '#schemas/rules/rotation.ts'
import type { RotationTrigger } from '#schemas/states.ts'
import { appendAudits } from './audit.ts'
import type { Transaction } from './connection.ts'
import { checksCancelled } from './credential-check.ts'
import { oweEach } from './duties.ts'
import { isAlive } from './exposure.ts'

export interface OwedRotation {
  readonly identityId: IdentityId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly trigger: RotationTrigger
  /** Scheduled: the date that was due; the next one is counted from it. */
  readonly dueAt: Date | null
}

/** Why a value of the identity must die, some of which are owed. */
export async function readOwedTrigger(trx: Transaction, identityId: IdentityId): Promise<RotationTrigger> {
  const { rows } = await sql<{ breakGlass: boolean | null; lostAccess: boolean | null }>`
    select bool_or(l.mode = 'break_glass') as "breakGlass", bool_and(e.lost_access) as "lostAccess"
    from exposure e join identity i on i.id = e.identity_id left join lease l on l.id = e.lease_id
    where i.id = ${identityId}::uuid and e.must_die_at is not null
      and ${isAlive}`.execute(trx)
  return owedTrigger({ breakGlass: rows[0]?.breakGlass === true, lostAccess: rows[0]?.lostAccess === true })
}

/**
 * Writes the rotations that the ends of leases owe, their audit events and their duties, as `insertRotation` does for one. The
 * caller holds the locks of the identities and knows that none is open.
 */
export async function insertRotations(trx: Transaction, owed: readonly OwedRotation[], actor: Actor): Promise<ReadonlyMap<IdentityId, RotationId>> {
  if (owed.length === 0) return new Map()
  const rotations = owed.map((one) => ({ ...one, rotationId: RotationId.parse(uuidv7()) }))
  const rows = rotations.map(({ rotationId, organizationId, vaultId, identityId, trigger, dueAt }) => ({
    id: rotationId,
    organization_id: organizationId,
    vault_id: vaultId,
    identity_id: identityId,
    trigger,
    due_at: dueAt,
  }))
  await sql`insert into rotation (id, organization_id, vault_id, identity_id, trigger, due_at, started_at)
    select id, organization_id, vault_id, identity_id, trigger, due_at, app_clock()
    from jsonb_populate_recordset(null::rotation, ${JSON.stringify(rows)}::jsonb)`.execute(trx)
  const identityIds = rotations.map(({ identityId }) => identityId)
  await checksCancelled(sql`k.identity_id = any(${identityIds}::uuid[])`).execute(trx)
  await appendAudits(
    trx,
    rotations.map(({ rotationId, organizationId, vaultId, identityId, trigger }) => ({
      actor,
      action: 'rotation.requested',
      effect: 'permit',
      outcome: 'success',
      organizationId,
      vaultId,
      identityId,
      rotationId,
      detail: { trigger },
    })),
  )
  await oweEach(
    trx,
    'rotation',
    rotations.map(({ rotationId }) => ({ subjectId: rotationId, closed: false })),
  )
  return new Map(rotations.map(({ identityId, rotationId }) => [identityId, rotationId]))
}
