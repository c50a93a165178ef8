import { sql } from 'kysely'
import type { HostId, LeaseId, RotationId } from '#schemas/ids.ts'
import type { Notice } from '#schemas/notice.ts'
import type { RotationState } from '#schemas/states.ts'
import type { BreakGlassReviewView } from './break-glass-review.ts'
import type { Transaction } from './connection.ts'
import { listNotices } from './notice-view.ts'

/** One host, and the login that proves that nothing which was shown logs in there any more. */
export interface HostProof {
  readonly hostId: HostId
  readonly name: string
  /** The version that logs in there by now. */
  readonly version: number
  /** The first fresh login with a version above all that were shown; null: there was none yet. */
  readonly proof: {
    readonly rotationId: RotationId
    readonly version: number
    readonly connectorId: string
    readonly eventId: string
    readonly at: string
  } | null
}

export interface EvidenceEvent {
  readonly id: string
  readonly at: string
  readonly action: string
  readonly outcome: string
  readonly actor: { readonly kind: string; readonly id: string | null; readonly sub: string | null }
  readonly hostId: string | null
  readonly rotationId: string | null
  readonly ip: string | null
  readonly userAgent: string | null
  readonly correlationId: string | null
  readonly detail: Readonly<Record<string, unknown>> | null
}

/** All that the tables say about one emergency use; nothing of it is a value or a reason. */
export interface EvidenceFacts {
  readonly login: { readonly iss: string; readonly sub: string; readonly email: string | null }
  readonly identity: { readonly name: string; readonly username: string }
  /** Every end that the lease was promised, in order. */
  readonly terms: readonly { readonly expiresAt: string; readonly setAt: string }[]
  /** Versions of the credential that it gave. */
  readonly versions: readonly number[]
  readonly rotations: readonly {
    readonly id: RotationId
    readonly trigger: string
    readonly state: RotationState
    readonly version: number | null
    readonly startedAt: string
    readonly finishedAt: string | null
  }[]
  readonly hosts: readonly HostProof[]
  readonly events: readonly EvidenceEvent[]
  readonly notices: readonly Notice[]
}

/** @param review of the use */
export async function readBreakGlassEvidence(trx: Transaction, { id, identityId }: BreakGlassReviewView): Promise<EvidenceFacts> {
  const { rows } = await sql<Omit<EvidenceFacts, 'notices'>>`
    with used as (
      select l.*, (select max(e.version) from exposure e where e.lease_id = l.id) as highest from lease l where l.id = ${id}::uuid
    ),
    after as (
      select r.* from rotation r, used where r.identity_id = used.identity_id and (r.finished_at is null or r.finished_at >= used.started_at)
        and r.started_at <= coalesce((select min(d.finished_at) from rotation d where d.identity_id = used.identity_id and d.state = 'confirmed'
          and d.staged_version > used.highest), 'infinity')
    )
    select jsonb_build_object('iss', u.iss, 'sub', u.sub, 'email', u.email) as login,
      jsonb_build_object('name', i.name, 'username', i.username) as identity,
      (select jsonb_agg(jsonb_build_object('expiresAt', t.expires_at, 'setAt', t.set_at) order by t.version) from lease_term t where t.lease_id = used.id) as terms,
      array(select distinct e.version from exposure e where e.lease_id = used.id order by 1) as versions,
      coalesce((select jsonb_agg(jsonb_build_object('id', r.id, 'trigger', r.trigger, 'state', r.state, 'version', r.staged_version, 'startedAt', r.started_at,
        'finishedAt', r.finished_at) order by r.started_at, r.id) from after r), '[]') as rotations,
      coalesce((select jsonb_agg(jsonb_build_object('hostId', h.id, 'name', h.name, 'version', ih.known_version, 'proof', (
          select jsonb_build_object('rotationId', r.id, 'version', r.staged_version, 'connectorId', j.connector_id, 'at', j.finished_at, 'eventId',
            (select a.id from audit_event a where a.rotation_id = r.id and a.host_id = h.id and a.action = 'job.reported' and a.outcome = 'confirmed'
              order by a.at desc limit 1))
          from after r join job j on j.rotation_id = r.id where j.host_id = h.id and j.state = 'confirmed' and r.staged_version > used.highest
          order by j.finished_at limit 1)) order by h.name)
        from identity_host ih join host h on h.id = ih.host_id where ih.identity_id = i.id), '[]') as hosts,
      coalesce((select jsonb_agg(jsonb_build_object('id', a.id, 'at', a.at, 'action', a.action, 'outcome', a.outcome,
        'actor', jsonb_build_object('kind', a.actor_kind, 'id', a.actor_id, 'sub', a.actor_sub), 'hostId', a.host_id, 'rotationId', a.rotation_id,
        'ip', host(a.ip), 'userAgent', a.user_agent, 'correlationId', a.correlation_id, 'detail', a.detail) order by a.at, a.id)
        from audit_event a where a.lease_id = used.id or a.rotation_id in (select r.id from after r)), '[]') as events
    from used join account_user u on u.id = used.user_id join identity i on i.id = ${identityId}::uuid`.execute(trx)
  const [facts] = rows
  if (facts === undefined) throw new Error('a review without its lease')
  return { ...facts, notices: await noticesOf(trx, id) }
}

const mostNotices = 200
const noticesOf = async (trx: Transaction, subjectId: LeaseId) =>
  (await listNotices(trx, { all: true }, { subjectId }, { limit: mostNotices, after: null })).items
