import { sql } from 'kysely'
import type { ConnectorId, JobId, OrganizationId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { lapseClaim, offerWaitingJobs } from './job.ts'

/** What the bridge must know of a connector to let it in, keep it in, or cut it off. */
export interface ConnectorLink {
  readonly connectorId: ConnectorId
  readonly organizationId: OrganizationId
  readonly state: 'pending' | 'joining' | 'active' | 'revoked'
  /** NATS user key. */
  readonly nkey: string | null
  readonly userJwt: string | null
  /** s until its present rights end; 0: it has none. */
  readonly userJwtLife: number
}

export async function readConnectorLink(trx: Transaction, connectorId: ConnectorId): Promise<ConnectorLink | undefined> {
  const { rows } = await sql<ConnectorLink>`
    select id as "connectorId", organization_id as "organizationId", state, nkey, user_jwt as "userJwt",
      greatest(0, coalesce(extract(epoch from user_jwt_expires_at - clock_timestamp()), 0))::float8 as "userJwtLife"
    from connector where id = ${connectorId}::uuid`.execute(trx)
  return rows[0]
}

export interface UserRightsGiven {
  readonly nkey: string
  readonly userJwt: string
  /** s; counted by the real clock, as NATS servers do. */
  readonly life: number
}

/**
 * Gives a connector its NATS rights: the first ones end its join, later ones replace older ones.
 *
 * @returns false when it was deregistered, or joins with another key by now
 */
export async function giveUserRights(trx: Transaction, connectorId: ConnectorId, { nkey, userJwt, life }: UserRightsGiven): Promise<boolean> {
  const { rows } = await sql<{ organization_id: OrganizationId; was: string }>`
    with before as (select id, state from connector where id = ${connectorId}::uuid for no key update)
    update connector c set state = 'active', user_jwt = ${userJwt}::text, user_jwt_expires_at = clock_timestamp() + make_interval(secs => ${life}::float8), version = version + 1
    from before b where c.id = b.id and c.state in ('joining', 'active') and c.nkey = ${nkey}::text returning c.organization_id, b.state as was`.execute(trx)
  const [connector] = rows
  if (connector === undefined) return false
  if (connector.was === 'joining') {
    const actor = { kind: 'system', id: 'bridge' } as const
    await appendAudit(trx, {
      actor,
      action: 'connector.activated',
      effect: 'permit',
      outcome: 'success',
      organizationId: connector.organization_id,
      connectorId,
    })
  }
  return true
}

export interface Greeting {
  /** The running instance of the connector. */
  readonly instance: string
  readonly build: string
  /** Claims of earlier instances that ended without a result. */
  readonly open: readonly { readonly jobId: JobId; readonly epoch: number }[]
}

/**
 * A connector is there. What its earlier instances held is given up at once instead of when its time is over, and what
 * waits for the connector is offered.
 *
 * @returns false when it is not, or no longer, an active connector of this organization
 */
export async function recordHello(
  trx: Transaction,
  connectorId: ConnectorId,
  organizationId: OrganizationId,
  { instance, build, open }: Greeting,
): Promise<boolean> {
  const { rows } = await sql<{ was: string | null }>`
    with before as (select id, instance from connector where id = ${connectorId}::uuid for no key update)
    update connector c set last_seen_at = app_clock(), instance = ${instance}::uuid, build = ${build}::text
    from before b where c.id = b.id and c.organization_id = ${organizationId}::uuid and c.state = 'active' returning b.instance as was`.execute(trx)
  const [connector] = rows
  if (connector === undefined) return false
  for (const { jobId, epoch } of open) if (await isOrphan(trx, connectorId, instance, jobId)) await lapseClaim(trx, jobId, epoch, { abandoned: true })
  if (connector.was !== instance) await offerWaitingJobs(trx, connectorId)
  return true
}

/** Only its own jobs, and none that the instance which speaks holds itself. */
async function isOrphan(trx: Transaction, connectorId: ConnectorId, instance: string, jobId: JobId): Promise<boolean> {
  const { rows } =
    await sql`select from job where id = ${jobId}::uuid and connector_id = ${connectorId}::uuid and state = 'claimed' and instance <> ${instance}::uuid`.execute(
      trx,
    )
  return rows.length > 0
}
