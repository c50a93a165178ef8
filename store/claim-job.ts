import { sql } from 'kysely'
import type { AccountId, ConnectorId, HostId, IdentityId, JobId, OrganizationId, RotationId, VaultId } from '#schemas/ids.ts'
import type { ClaimFacts, ClaimRefusal } from '#schemas/job-facts.ts'
import { claimHold } from '#schemas/rules/rotation.ts'
import type { JobKind, JobState } from '#schemas/states.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { auditJob, isAcceptable } from './job.ts'
import { endOverdueLeases } from './release-lease.ts'
import { jobAdapter } from './rotatable.ts'
import { readSealed } from './sealed-credential.ts'

export interface Claim {
  readonly jobId: JobId
  /** The epoch of the offer. */
  readonly epoch: number
  /** The running instance of the connector, made anew at each of its starts. */
  readonly instance: string
  readonly connectorId: ConnectorId
}

/** At most so many jobs per connector, and one per account on a target, at once. */
const maximumPerConnector = 16
/** A rotation that waits so long for holders to leave makes the identity take no new ones. */
const drainAfter = '24 hours'

interface JobRow {
  id: JobId
  account_id: AccountId
  organization_id: OrganizationId
  identity_id: IdentityId
  rotation_id: RotationId
  host_id: HostId
  connector_id: ConnectorId
  kind: JobKind
  state: JobState
  epoch: number
  instance: string | null
  hold_ms: number
  due: boolean
  address: string
  port: number
  adapter: string
  parameters: Record<string, unknown>
  admin_identity_id: IdentityId | null
  username: string
  vault_id: VaultId
  staged_version: number
  known_version: number
  encryption_jwk: ClaimFacts['encryptionJwk']
  crowded: boolean
  patience_over: boolean
  acceptable: boolean
}

/**
 * Decides who may change an account on a host: from the commit on, checkouts of the identity for this host are refused,
 * and only then the bridge seals the secret. The same (job, epoch, instance) gets the same answer again.
 *
 * @throws LeaseholdError `busy`, `not-found`
 */
export async function claimJob(trx: Transaction, claim: Claim): Promise<ClaimFacts | ClaimRefusal> {
  // Key share: a deregistration of the connector waits for us, or we see that it is no longer active.
  await sql`select from connector where id = ${claim.connectorId}::uuid for key share`.execute(trx)
  const found = await readJob(trx, claim)
  if (found === undefined) return { refused: 'gone' }
  // Who comes to change the account need not wait for a clock to end what is over.
  await endOverdueLeases(trx, found.identity_id, { kind: 'system', id: 'claim' })
  const job = await readJob(trx, claim)
  if (job === undefined) return { refused: 'gone' }
  if (job.state === 'claimed' && job.epoch === claim.epoch && job.instance === claim.instance && job.hold_ms > 0) return answer(trx, job)
  if ((job.state !== 'waiting' && job.state !== 'doubt') || job.epoch + 1 !== claim.epoch) return { refused: 'gone' }
  if (!job.due || job.crowded) return { refused: 'later' }
  if (job.kind === 'reset' && !job.acceptable) return { refused: 'later' }
  if (job.kind === 'reset' && (await isHeld(trx, job))) return defer(trx, job)
  await sql`
    with fenced as (update identity set epoch = epoch + 1, draining_since = null where id = ${job.identity_id}::uuid),
    phased as (update rotation set phase = 'applying', version = version + 1 where id = ${job.rotation_id}::uuid)
    update job set state = 'claimed', epoch = ${claim.epoch}::int, instance = ${claim.instance}::uuid, claimed_at = app_clock(),
      claimed_versions[${claim.epoch}::int] = case when kind = 'reset' then ${job.staged_version}::int end,
      lease_until = app_clock() + make_interval(secs => ${claimHold}::float8 / 1000) where id = ${claim.jobId}::uuid`.execute(trx)
  await auditJob(
    trx,
    { jobId: job.id, identityId: job.identity_id, rotationId: job.rotation_id },
    { kind: 'connector', id: claim.connectorId },
    'job.claimed',
    'success',
    {
      epoch: claim.epoch,
      kind: job.kind,
      instance: claim.instance,
    },
  )
  await owe(trx, 'rotation', job.rotation_id)
  return answer(trx, { ...job, epoch: claim.epoch, hold_ms: claimHold })
}

async function readJob(trx: Transaction, { jobId, connectorId }: Claim): Promise<JobRow | undefined> {
  const { rows } = await sql<JobRow>`
    select j.id, j.account_id, j.organization_id, j.identity_id, j.rotation_id, j.host_id, j.connector_id, j.kind, j.state, j.epoch, j.instance,
      coalesce(extract(epoch from j.lease_until - app_clock()) * 1000, 0)::float8 as hold_ms, j.next_at <= app_clock() as due,
      h.address, h.port, coalesce(${jobAdapter(sql`i.credential_type`, sql`h.adapter`)}, 'none') as adapter, h.parameters, h.admin_identity_id, i.username, i.vault_id, r.staged_version, ih.known_version, c.encryption_jwk,
      r.started_at <= app_clock() - ${drainAfter}::interval as patience_over, ${isAcceptable} as acceptable,
      (select count(*) from job o where o.connector_id = j.connector_id and o.state = 'claimed' and o.id <> j.id) >= ${maximumPerConnector}::int
        or exists (select from job o join identity oi on oi.id = o.identity_id
          where o.host_id = j.host_id and o.state = 'claimed' and o.id <> j.id and oi.username = i.username) as crowded
    from job j join rotation r on r.id = j.rotation_id join host h on h.id = j.host_id join identity i on i.id = j.identity_id
      join identity_host ih on ih.identity_id = i.id and ih.host_id = h.id join connector c on c.id = j.connector_id
    where j.id = ${jobId}::uuid and j.connector_id = ${connectorId}::uuid and c.state = 'active' and r.state = 'pending' and r.staged_version is not null`.execute(
    trx,
  )
  return rows[0]
}

/** Somebody holds the identity for this host, or for no host in particular. */
async function isHeld(trx: Transaction, job: JobRow): Promise<boolean> {
  const { rows } = await sql`select from lease where identity_id = ${job.identity_id}::uuid and state = 'active'
    and (host_id is null or host_id = ${job.host_id}::uuid) limit 1`.execute(trx)
  return rows.length > 0
}

/** The last release wakes the job; after a day of waiting the identity takes no new holders until the claim went through. */
async function defer(trx: Transaction, job: JobRow): Promise<ClaimRefusal> {
  if (job.patience_over) {
    await sql`update identity set draining_since = app_clock() where id = ${job.identity_id}::uuid and draining_since is null`.execute(trx)
  }
  return { refused: 'later' }
}

async function answer(trx: Transaction, job: JobRow): Promise<ClaimFacts> {
  const staged = await readSealed(trx, job.identity_id, job.vault_id, job.staged_version)
  if (staged === undefined) throw new Error('a staged version has no ciphertext')
  return {
    jobId: job.id,
    organizationId: job.organization_id,
    connectorId: job.connector_id,
    kind: job.kind,
    epoch: job.epoch,
    holdMs: Math.floor(job.hold_ms),
    encryptionJwk: job.encryption_jwk,
    target: { hostId: job.host_id, address: job.address, port: job.port, adapter: job.adapter, parameters: job.parameters },
    username: job.username,
    staged,
    known: (await readSealed(trx, job.identity_id, job.vault_id, job.known_version)) ?? null,
    admin: job.admin_identity_id === null ? null : await readAdmin(trx, job.admin_identity_id, job.host_id),
  }
}

/** The admin identity's value for this very host, where it has one of its own. */
async function readAdmin(trx: Transaction, adminId: IdentityId, hostId: HostId): Promise<ClaimFacts['admin']> {
  const { rows } = await sql<{ username: string; vault_id: VaultId; version: number }>`
    select i.username, i.vault_id, coalesce(ih.known_version, i.current_version) as version
    from identity i left join identity_host ih on ih.identity_id = i.id and ih.host_id = ${hostId}::uuid where i.id = ${adminId}::uuid and i.deleted_at is null`.execute(
    trx,
  )
  const [admin] = rows
  const sealed = admin && (await readSealed(trx, adminId, admin.vault_id, admin.version))
  return admin === undefined || sealed === undefined ? null : { ...sealed, username: admin.username }
}
