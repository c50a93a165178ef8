import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { HostId, IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { Identity } from '#schemas/identity.ts'
import type { HostHealth } from '#schemas/states.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Transaction } from './connection.ts'
import { inScope, pageClause, type Scope } from './page.ts'

/** How an identity is on host `h`: what is proven, and where nothing is refused, whether anybody answers. */
const health = sql<HostHealth>`case when h.sync <> 'drifted' and h.unreachable_since is not null then 'unreachable' else h.sync end`

const identities = sql`
  select i.id, i.organization_id as "organizationId", i.vault_id as "identityGroupId", i.name, i.username, i.credential_type as "credentialType",
    i.rotation_interval_days as "rotationIntervalDays", i.rotate_after_use as "rotateAfterUse", i.rotate_after_access_loss as "rotateAfterAccessLoss",
    i.check_interval_hours as "checkIntervalHours", i.reconcile_drift as "reconcileDrift", i.allow_concurrent_checkout as "allowConcurrentCheckout",
    i.max_concurrent_sessions as "maxConcurrentSessions", i.exposure, i.after_use_grace_minutes as "afterUseGraceMinutes", i.password_policy as "passwordPolicy",
    i.state, i.current_version as "credentialVersion", i.draining_since is not null as draining, i.next_rotation_at as "nextRotationAt", i.next_check_at as "nextCheckAt",
    i.last_rotated_at as "lastRotatedAt", i.version, i.created_at as "createdAt",
    coalesce((select jsonb_agg(jsonb_build_object('hostId', h.host_id, 'credentialVersion', h.known_version, 'sync', h.sync,
      'health', ${health}, 'checkedAt', h.checked_at, 'unreachableSince', h.unreachable_since) order by h.host_id)
      from identity_host h where h.identity_id = i.id), '[]') as hosts,
    (select count(*)::int from lease l where l.identity_id = i.id and l.state = 'active' and l.expires_at > app_clock()) as "activeLeases",
    (select r.id from rotation r where r.identity_id = i.id and r.state = 'pending') as "rotationId",
    (select c.public_key from credential_version c where c.identity_id = i.id and c.version = i.current_version) as "publicKey",
    (select 'SHA256:' || rtrim(encode(sha256(decode(split_part(c.public_key, ' ', 2), 'base64')), 'base64'), '=')
      from credential_version c where c.identity_id = i.id and c.version = i.current_version) as "publicKeyFingerprint"
  from identity i`

type Row = Omit<Identity, 'createdAt' | 'nextRotationAt' | 'nextCheckAt' | 'lastRotatedAt' | 'hostIds'> & {
  readonly createdAt: Date
  readonly nextRotationAt: Date | null
  readonly nextCheckAt: Date | null
  readonly lastRotatedAt: Date | null
}

/** As PostgreSQL writes it in JSON. */
const iso = (moment: string | null): string | null => (moment === null ? null : new Date(moment).toISOString())

const fromRow = (row: Row): Identity => ({
  ...row,
  hosts: row.hosts.map((host) => ({ ...host, checkedAt: iso(host.checkedAt), unreachableSince: iso(host.unreachableSince) })),
  hostIds: row.hosts.map((host) => host.hostId),
  createdAt: row.createdAt.toISOString(),
  nextRotationAt: row.nextRotationAt?.toISOString() ?? null,
  nextCheckAt: row.nextCheckAt?.toISOString() ?? null,
  lastRotatedAt: row.lastRotatedAt?.toISOString() ?? null,
})

/** @throws LeaseholdError `not-found` */
export async function readIdentity(trx: Transaction, id: IdentityId): Promise<Identity> {
  const { rows } = await sql<Row>`${identities} where i.id = ${id}::uuid and i.deleted_at is null`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

export interface IdentityFilter {
  readonly organizationId?: OrganizationId | undefined
  readonly identityGroupId?: VaultId | undefined
  readonly hostId?: HostId | undefined
  /** Exact. */
  readonly name?: string | undefined
  /** Of one of its hosts at least. */
  readonly health?: HostHealth | undefined
}

export async function listIdentities(trx: Transaction, scope: Scope, filter: IdentityFilter, page: PageRequest): Promise<Page<Identity>> {
  const { organizationId = null, identityGroupId = null, hostId = null, name = null, health: is = null } = filter
  const { rows } = await sql<Row>`${identities} where i.deleted_at is null and ${inScope(scope, sql`i.organization_id`, sql`i.vault_id`)}
    and (${organizationId}::uuid is null or i.organization_id = ${organizationId}::uuid)
    and (${identityGroupId}::uuid is null or i.vault_id = ${identityGroupId}::uuid)
    and (${name}::text is null or i.name = ${name}::text)
    and (${hostId}::uuid is null or exists (select from identity_host f where f.identity_id = i.id and f.host_id = ${hostId}::uuid))
    and (${is}::text is null or exists (select from identity_host h where h.identity_id = i.id and ${health} = ${is}::text))
    ${pageClause(sql`i.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}
