import { sql } from 'kysely'
import type { Check } from '#schemas/check.ts'
import type { IdentityId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'

type Row = Omit<Check['hosts'][number], 'requestedAt' | 'finishedAt'> & { readonly requestedAt: Date; readonly finishedAt: Date | null }

/** The last check of each host that the identity has now. */
export async function readCheckView(trx: Transaction, identityId: IdentityId): Promise<Check> {
  const { rows } = await sql<Row>`
    select k.host_id as "hostId", k.id as "jobId", k.connector_id as "connectorId", k.state, k.version as "credentialVersion", k.outcome, k.reason_class as reason,
      k.requested_by as "requestedBy", k.requested_at as "requestedAt", k.finished_at as "finishedAt"
    from credential_check k join identity_host h on h.identity_id = k.identity_id and h.host_id = k.host_id
    where k.identity_id = ${identityId}::uuid order by k.host_id`.execute(trx)
  return {
    identityId,
    state: rows.some(({ state }) => state === 'waiting' || state === 'claimed') ? 'pending' : 'done',
    hosts: rows.map((row) => ({ ...row, requestedAt: row.requestedAt.toISOString(), finishedAt: row.finishedAt?.toISOString() ?? null })),
  }
}
