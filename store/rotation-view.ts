import { LeaseholdError } from '#schemas/errors.ts'
import { sql, type RawBuilder } from 'kysely'
import type { HostId, IdentityId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { JobState, RotationPhase, RotationState, RotationTrigger, WaitCause } from '#schemas/states.ts'
import type { Transaction } from './connection.ts'
import { newestFirst } from './newest-first.ts'
import { inScope, type Scope } from './page.ts'
import { isStuck, stuckAt, waitsFor } from './stuck-rotation.ts'

/** A rotation as people follow it, with one line per host. */
export interface RotationView {
  readonly id: RotationId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly trigger: RotationTrigger
  readonly state: RotationState
  readonly phase: RotationPhase
  readonly needsAttention: boolean
  readonly reason: string | null
  readonly requestedBy: UserId | null
  readonly dueAt: string | null
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly version: number
  /** When it had been pending for too long; null: it is not. */
  readonly stuckSince: string | null
  /** Why it is not over yet. */
  readonly waitsFor: readonly {
    readonly hostId: HostId | null
    readonly cause: WaitCause
    readonly since: string | null
    readonly until: string | null
    readonly userId: UserId | null
  }[]
  /** Before the jobs are made: the hosts of the identity, waiting. */
  readonly hosts: readonly {
    readonly hostId: HostId
    readonly jobId: string | null
    readonly state: JobState
    readonly attempts: number
    readonly reason: string | null
    readonly knownVersion: number | null
  }[]
}

interface Row extends Omit<RotationView, 'dueAt' | 'startedAt' | 'finishedAt' | 'stuckSince'> {
  readonly stuckSince: Date | null
  readonly dueAt: Date | null
  readonly startedAt: Date
  readonly finishedAt: Date | null
}

const columns = sql`t.id, t.organization_id as "organizationId", t.vault_id as "vaultId", t.identity_id as "identityId", t.trigger, t.state, t.phase,
  t.needs_attention as "needsAttention", t.reason_class as reason, t.requested_by as "requestedBy", t.due_at as "dueAt", t.started_at as "startedAt",
  t.finished_at as "finishedAt", t.version,
  case when ${isStuck} then ${stuckAt} end as "stuckSince", ${waitsFor} as "waitsFor",
  coalesce((select jsonb_agg(jsonb_build_object('hostId', coalesce(j.host_id, h.host_id), 'jobId', j.id, 'state', coalesce(j.state, 'waiting'),
      'attempts', coalesce(j.attempts, 0), 'reason', j.reason_class, 'knownVersion', h.known_version) order by coalesce(j.host_id, h.host_id))
    from (select * from identity_host where identity_id = t.identity_id) h full join (select * from job where rotation_id = t.id) j on j.host_id = h.host_id
    where j.id is not null or t.state = 'pending'), '[]') as hosts
  from rotation t`

/** As PostgreSQL writes it in JSON. */
const iso = (moment: string | null): string | null => (moment === null ? null : new Date(moment).toISOString())

/** What a rotation waits for, read as JSON. */
export const isoWaits = <W extends { readonly since: string | null; readonly until: string | null }>(waits: readonly W[]): W[] =>
  waits.map((wait) => ({ ...wait, since: iso(wait.since), until: iso(wait.until) }))

const fromRow = (row: Row): RotationView => ({
  ...row,
  dueAt: row.dueAt?.toISOString() ?? null,
  startedAt: row.startedAt.toISOString(),
  finishedAt: row.finishedAt?.toISOString() ?? null,
  stuckSince: row.stuckSince?.toISOString() ?? null,
  waitsFor: isoWaits(row.waitsFor),
})

async function select(trx: Transaction, where: RawBuilder<unknown>): Promise<RotationView[]> {
  const { rows } = await sql<Row>`select ${columns} where ${where}`.execute(trx)
  return rows.map(fromRow)
}

/** Undefined when there is none in this account. */
export async function readRotationView(trx: Transaction, id: RotationId): Promise<RotationView | undefined> {
  const [rotation] = await select(trx, sql`t.id = ${id}::uuid`)
  return rotation
}

/** The rotation by which an identity was enrolled. @throws LeaseholdError `not-found` */
export async function readEnrollment(trx: Transaction, identityId: IdentityId): Promise<RotationView> {
  const [rotation] = await select(trx, sql`t.identity_id = ${identityId}::uuid and t.trigger = 'enroll'`)
  if (rotation === undefined) throw new LeaseholdError('not-found')
  return rotation
}

export interface RotationFilter {
  readonly identityId?: IdentityId | undefined
  readonly vaultId?: VaultId | undefined
  readonly state?: RotationState | undefined
  readonly needsAttention?: boolean | undefined
  readonly stuck?: boolean | undefined
}

/** Rotations of the scope, newest first. */
export async function listRotations(trx: Transaction, scope: Scope, filter: RotationFilter, page: PageRequest): Promise<Page<RotationView>> {
  const rotations = await select(
    trx,
    sql`
    ${inScope(scope, sql`t.organization_id`, sql`t.vault_id`)}
    and (${filter.identityId ?? null}::uuid is null or t.identity_id = ${filter.identityId ?? null}::uuid)
    and (${filter.vaultId ?? null}::uuid is null or t.vault_id = ${filter.vaultId ?? null}::uuid)
    and (${filter.state ?? null}::text is null or t.state = ${filter.state ?? null}::text)
    and (${filter.needsAttention ?? null}::boolean is null or t.needs_attention = ${filter.needsAttention ?? null}::boolean)
    and (${filter.stuck ?? null}::boolean is null or ${isStuck} = ${filter.stuck ?? null}::boolean)
    ${newestFirst('rotation', 'started_at', page)}`,
  )
  return toPage(rotations, page.limit)
}
