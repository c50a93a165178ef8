import { sql, type RawBuilder } from 'kysely'
import type { ConnectorId, HostId, IdentityId, JobId, OrganizationId, RotationId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { JobKind, JobState } from '#schemas/states.ts'
import type { Transaction } from './connection.ts'
import { newestFirst } from './newest-first.ts'
import { inScope, type Scope } from './page.ts'

/** One line of the Jobs page (S2 "Troubleshooting"). */
export interface JobView {
  readonly id: JobId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly rotationId: RotationId
  readonly hostId: HostId
  readonly connectorId: ConnectorId
  readonly kind: JobKind
  readonly state: JobState
  readonly epoch: number
  readonly attempts: number
  readonly reason: string | null
  /** When it may be offered next; null: final. */
  readonly nextAt: string | null
  readonly offeredAt: string | null
  readonly claimedAt: string | null
  readonly claimedUntil: string | null
  readonly doubtSince: string | null
  readonly finishedAt: string | null
  readonly createdAt: string
}

type Moment = 'nextAt' | 'offeredAt' | 'claimedAt' | 'claimedUntil' | 'doubtSince' | 'finishedAt'
type Row = Omit<JobView, Moment | 'createdAt'> & Readonly<Record<Moment, Date | null>> & { readonly createdAt: Date }

const columns = sql`t.id, t.organization_id as "organizationId", i.vault_id as "vaultId", t.identity_id as "identityId", t.rotation_id as "rotationId",
  t.host_id as "hostId", t.connector_id as "connectorId", t.kind, t.state, t.epoch, t.attempts, t.reason_class as reason,
  case when t.finished_at is null then t.next_at end as "nextAt", t.offered_at as "offeredAt", t.claimed_at as "claimedAt",
  case when t.state = 'claimed' then t.lease_until end as "claimedUntil", t.doubt_since as "doubtSince", t.finished_at as "finishedAt", t.created_at as "createdAt"
  from job t join identity i on i.id = t.identity_id`

const iso = (moment: Date | null): string | null => moment?.toISOString() ?? null
const fromRow = (row: Row): JobView => ({
  ...row,
  nextAt: iso(row.nextAt),
  offeredAt: iso(row.offeredAt),
  claimedAt: iso(row.claimedAt),
  claimedUntil: iso(row.claimedUntil),
  doubtSince: iso(row.doubtSince),
  finishedAt: iso(row.finishedAt),
  createdAt: row.createdAt.toISOString(),
})

async function select(trx: Transaction, where: RawBuilder<unknown>): Promise<JobView[]> {
  const { rows } = await sql<Row>`select ${columns} where ${where}`.execute(trx)
  return rows.map(fromRow)
}

/** Undefined when there is none in this account. */
export async function readJobView(trx: Transaction, id: JobId): Promise<JobView | undefined> {
  const [job] = await select(trx, sql`t.id = ${id}::uuid`)
  return job
}

export interface JobFilter {
  readonly identityId?: IdentityId | undefined
  readonly rotationId?: RotationId | undefined
  readonly hostId?: HostId | undefined
  readonly connectorId?: ConnectorId | undefined
  readonly state?: JobState | undefined
}

/** Jobs of the scope, newest first. */
export async function listJobs(trx: Transaction, scope: Scope, filter: JobFilter, page: PageRequest): Promise<Page<JobView>> {
  const jobs = await select(
    trx,
    sql`
    ${inScope(scope, sql`t.organization_id`, sql`i.vault_id`)}
    and (${filter.identityId ?? null}::uuid is null or t.identity_id = ${filter.identityId ?? null}::uuid)
    and (${filter.rotationId ?? null}::uuid is null or t.rotation_id = ${filter.rotationId ?? null}::uuid)
    and (${filter.hostId ?? null}::uuid is null or t.host_id = ${filter.hostId ?? null}::uuid)
    and (${filter.connectorId ?? null}::uuid is null or t.connector_id = ${filter.connectorId ?? null}::uuid)
    and (${filter.state ?? null}::text is null or t.state = ${filter.state ?? null}::text)
    ${newestFirst('job', 'created_at', page)}`,
  )
  return toPage(jobs, page.limit)
}
