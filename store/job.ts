import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { ConnectorId, IdentityId, JobId, RotationId } from '#schemas/ids.ts'
import type { OfferFacts } from '#schemas/job-facts.ts'
import { doubtLimit } from '#schemas/rules/rotation.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { owe, oweEach } from './duties.ts'
import { callForPerson } from './rotation-attention.ts'
import { readRotation } from './rotation.ts'

/** Without an answer an offer is repeated after this time, ms. */
const offerAgain = 10_000
/** The longest wait while somebody holds the account, ms: the last release wakes the job, and an offer now and then lets draining begin. */
const heldAgain = 300_000
/** A connector with its hands full has one free again after about this time, ms. */
const busyAgain = 500

/**
 * Whether no host of rotation `r` has refused its present value by policy: until there is another one, nobody else gets it either.
 * A host that has failed gets no other one, and holds nobody up.
 */
export const isAcceptable = sql<boolean>`not exists (
  select from job n where n.rotation_id = r.id and n.refused_version = r.staged_version and n.state <> 'failed')`

export interface OfferableJob {
  readonly id: JobId
  /** ms until it may be offered; absent: 0. */
  readonly pause?: number
}

/** `pause` of a row of job. */
export const pauseLeft = sql<number>`greatest(0, extract(epoch from next_at - app_clock()) * 1000)::float8`

/** Owes the offers of these jobs, none before its pause is over: it would come to nothing, and none would follow. */
export async function oweOffers(trx: Transaction, jobs: readonly OfferableJob[]): Promise<void> {
  await oweEach(
    trx,
    'offer',
    jobs.map(({ id, pause = 0 }) => ({ subjectId: id, delayMs: pause })),
  )
}

/** Makes one job per host of the identity and owes their offers; running it twice adds nothing. */
export async function openJobs(trx: Transaction, rotationId: RotationId): Promise<void> {
  const { identityId } = await readRotation(trx, rotationId)
  await lockIdentity(trx, identityId)
  const rotation = await readRotation(trx, rotationId)
  if (rotation.state !== 'pending' || rotation.stagedVersion === null) return
  const { rows } = await sql<{ id: JobId }>`
    insert into job (organization_id, identity_id, rotation_id, host_id, connector_id)
    select h.organization_id, ih.identity_id, ${rotationId}::uuid, h.id, h.connector_id
    from identity_host ih join host h on h.id = ih.host_id where ih.identity_id = ${identityId}::uuid and h.deleted_at is null
    on conflict (account_id, rotation_id, host_id) do nothing returning id`.execute(trx)
  await oweOffers(trx, rows)
  await sql`update rotation set phase = 'waiting', version = version + 1 where id = ${rotationId}::uuid and phase = 'staged'`.execute(trx)
  // A value without a host waits for a person who sets it on the target and confirms; who asked for it knows that already.
  if (rows.length === 0 && rotation.jobs.length === 0) await callForPerson(trx, rotationId, rotation.trigger === 'break_glass' ? 'critical' : 'info')
}

/** The identity is free: its waiting jobs need not wait for their next offer. The caller holds the lock of the identity. */
export async function wakeJobs(trx: Transaction, rotationId: RotationId): Promise<void> {
  const { rows } = await sql<{ id: JobId }>`
    update job set next_at = app_clock() where rotation_id = ${rotationId}::uuid and state = 'waiting' returning id`.execute(trx)
  await oweOffers(trx, rows)
  await owe(trx, 'rotation', rotationId)
}

/** What may be offered for this job now; undefined: nothing (final, claimed, not yet, connector not active). */
export async function readOffer(trx: Transaction, jobId: JobId): Promise<OfferFacts | undefined> {
  const { rows } = await sql<OfferFacts>`
    select j.id as "jobId", j.organization_id as "organizationId", j.connector_id as "connectorId", j.kind, j.epoch + 1 as epoch
    from job j join connector c on c.id = j.connector_id join rotation r on r.id = j.rotation_id
    where j.id = ${jobId}::uuid and j.state in ('waiting', 'doubt') and j.next_at <= app_clock() and c.state = 'active'
      and r.staged_version is not null and (j.kind = 'probe' or ${isAcceptable})`.execute(trx)
  return rows[0]
}

/** The offer went out; it is repeated until somebody claims the job. */
export async function recordOffer(trx: Transaction, jobId: JobId): Promise<void> {
  await sql`update job set offered_at = app_clock() where id = ${jobId}::uuid`.execute(trx)
  // Asked with the job's row locked: a release wakes it wholly before this, or after it.
  const held = await heldFor(trx, jobId)
  await owe(trx, 'offer', jobId, { delayMs: Math.min(heldAgain, Math.max(offerAgain, held)) })
}

/** @returns ms until the last lease ends that keeps a reset from being claimed; a lease that is over keeps nobody: 0 */
async function heldFor(trx: Transaction, jobId: JobId): Promise<number> {
  const { rows } = await sql<{ ms: number }>`
    select coalesce(extract(epoch from max(l.expires_at) - app_clock()) * 1000, 0)::float8 as ms
    from job j join lease l on l.identity_id = j.identity_id and l.state = 'active' and (l.host_id is null or l.host_id = j.host_id)
    where j.id = ${jobId}::uuid and j.kind = 'reset'`.execute(trx)
  return rows[0]?.ms ?? 0
}

/** The connector is there and has its hands full: the job need not wait as long as for silence. */
export const repeatOffer = (trx: Transaction, jobId: JobId): Promise<void> => owe(trx, 'offer', jobId, { delayMs: busyAgain })

/** A connector is (newly) there: whatever waits for it is offered now. */
export async function offerWaitingJobs(trx: Transaction, connectorId: ConnectorId): Promise<void> {
  const { rows } = await sql<{ id: JobId }>`
    select id from job where connector_id = ${connectorId}::uuid and state in ('waiting', 'doubt') and next_at <= app_clock()`.execute(trx)
  await oweOffers(trx, rows)
}

/**
 * The hold of a claim is over without a result: nobody knows which version the host has, so the next claim probes and
 * never applies blindly. A claim of another epoch, or one whose time is not over, stays.
 *
 * @param whose lets a connector's new instance give up what an older one held, before its time
 */
export async function lapseClaim(
  trx: Transaction,
  jobId: JobId,
  expectedEpoch: number,
  whose: { readonly abandoned: boolean } = { abandoned: false },
): Promise<void> {
  const job = await trx.selectFrom('job').select(['identity_id', 'rotation_id']).where('id', '=', jobId).executeTakeFirst()
  if (job === undefined) return
  await lockIdentity(trx, job.identity_id)
  const { rows } = await sql`
    update job set state = 'doubt', kind = 'probe', doubt_since = coalesce(doubt_since, app_clock()), next_at = app_clock(), reason_class = 'lapsed'
    where id = ${jobId}::uuid and state = 'claimed' and epoch = ${expectedEpoch}::int and (lease_until <= app_clock() or ${whose.abandoned}::boolean) returning 1`.execute(
    trx,
  )
  if (rows.length === 0) return
  await sql`update rotation set phase = 'in_doubt', version = version + 1 where id = ${job.rotation_id}::uuid and state = 'pending'`.execute(trx)
  await auditJob(trx, { jobId, identityId: job.identity_id, rotationId: job.rotation_id }, { kind: 'system', id: 'claim-watch' }, 'job.lapsed', 'unknown', {
    epoch: expectedEpoch,
  })
  await owe(trx, 'offer', jobId)
  await owe(trx, 'rotation', job.rotation_id)
}

/** A doubt that nothing could clear for 10 minutes needs a person; probing goes on. */
export async function raiseAttention(trx: Transaction, rotationId: RotationId): Promise<void> {
  const { rows } = await sql`select from job where rotation_id = ${rotationId}::uuid and state in ('claimed', 'doubt')
    and doubt_since <= app_clock() - make_interval(secs => ${doubtLimit}::float8 / 1000) limit 1`.execute(trx)
  if (rows.length > 0) await callForPerson(trx, rotationId, 'critical')
}

/** One audit event about a job. */
export async function auditJob(
  trx: Transaction,
  job: { readonly jobId: JobId; readonly identityId: IdentityId; readonly rotationId: RotationId },
  actor: Actor,
  action: string,
  outcome: string,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { rows } = await sql<{ organization_id: never; vault_id: never; host_id: never; connector_id: never }>`
    select r.organization_id, r.vault_id, j.host_id, j.connector_id from job j join rotation r on r.id = j.rotation_id where j.id = ${job.jobId}::uuid`.execute(
    trx,
  )
  const [at] = rows
  await appendAudit(trx, {
    actor,
    action,
    effect: 'permit',
    outcome,
    identityId: job.identityId,
    rotationId: job.rotationId,
    detail: { jobId: job.jobId, ...detail },
    ...(at === undefined ? {} : { organizationId: at.organization_id, vaultId: at.vault_id, hostId: at.host_id, connectorId: at.connector_id }),
  })
}
