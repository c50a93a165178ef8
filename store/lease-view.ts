import { sql, type RawBuilder } from 'kysely'
import type { AccessRequestId, AccountId, IdentityId, LeaseId, UserId, VaultId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { LeaseMode, LeaseState } from '#schemas/states.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import type { Transaction } from './connection.ts'
import { newestFirst } from './newest-first.ts'
import { inScope, type Scope } from './page.ts'

/** A lease with what people ask about it: who holds it, who ended it, and why it was asked for (sealed). */
export interface LeaseView extends Omit<LeaseFacts, 'terms' | 'remainingMs' | 'slot'> {
  readonly id: LeaseId
  readonly holder: string | null
  readonly endedBy: UserId | null
  /** The access request that was used for it. */
  readonly requestId: AccessRequestId | null
  readonly ticket: string | null
  /** Whether its organization takes break-glass by logins that do not go through the identity provider. */
  readonly breakGlassWithoutProvider: boolean
  readonly reason: Sealed
  /** Key of the vault and version that the reason was sealed with. */
  readonly reasonKey: VaultKeyRef
}

export interface LeaseFilter {
  readonly identityId?: IdentityId | undefined
  readonly vaultId?: VaultId | undefined
  readonly userId?: UserId | undefined
  readonly state?: LeaseState | undefined
  readonly mode?: LeaseMode | undefined
}

interface Row extends Omit<LeaseView, 'leaseId' | 'startedAt' | 'expiresAt' | 'endedAt' | 'reason' | 'reasonKey'> {
  readonly startedAt: Date
  readonly expiresAt: Date
  readonly endedAt: Date | null
  readonly accountId: AccountId
  readonly salt: Buffer
  readonly reasonCiphertext: Buffer
  readonly reasonKeyId: string
}

const columns = sql`t.id, t.account_id as "accountId", t.organization_id as "organizationId", t.vault_id as "vaultId", t.identity_id as "identityId",
  t.host_id as "hostId", t.user_id as "userId", coalesce(u.name, u.sub) as holder, t.mode, t.state, t.version, t.credential_version as "credentialVersion",
  t.requested_minutes as "requestedMinutes", t.started_at as "startedAt", t.expires_at as "expiresAt", t.ended_at as "endedAt", t.end_cause as "endCause",
  t.ended_by as "endedBy", t.request_id as "requestId", t.ticket, o.break_glass_without_provider as "breakGlassWithoutProvider", t.reason_ciphertext as "reasonCiphertext", t.reason_key_id as "reasonKeyId", v.salt,
  (select jsonb_build_object('id', r.id, 'state', r.state) from rotation r where r.id = t.rotation_id) as rotation
  from lease t join account_user u on u.id = t.user_id join vault v on v.id = t.vault_id join organization o on o.id = t.organization_id`

function fromRow({ accountId, salt, reasonCiphertext, reasonKeyId, startedAt, expiresAt, endedAt, ...row }: Row): LeaseView {
  return {
    ...row,
    leaseId: row.id,
    startedAt: startedAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    endedAt: endedAt?.toISOString() ?? null,
    reason: { encryptionVersion: 2, keyId: reasonKeyId, ciphertext: reasonCiphertext },
    reasonKey: { accountId, organizationId: row.organizationId, vaultId: row.vaultId, vaultSalt: salt, keyVersion: Number(/\d+$/.exec(reasonKeyId)?.[0]) },
  }
}

async function select(trx: Transaction, where: RawBuilder<unknown>): Promise<LeaseView[]> {
  const { rows } = await sql<Row>`select ${columns} where ${where}`.execute(trx)
  return rows.map(fromRow)
}

/** Undefined when there is none in this account. */
export async function readLeaseView(trx: Transaction, leaseId: LeaseId): Promise<LeaseView | undefined> {
  const [lease] = await select(trx, sql`t.id = ${leaseId}::uuid`)
  return lease
}

/** Leases of the scope, and the caller's own. Newest first. */
export async function listLeases(trx: Transaction, scope: Scope, caller: UserId, filter: LeaseFilter, page: PageRequest): Promise<Page<LeaseView>> {
  const leases = await select(
    trx,
    sql`
    (${inScope(scope, sql`t.organization_id`, sql`t.vault_id`)} or t.user_id = ${caller}::uuid)
    and (${filter.identityId ?? null}::uuid is null or t.identity_id = ${filter.identityId ?? null}::uuid)
    and (${filter.vaultId ?? null}::uuid is null or t.vault_id = ${filter.vaultId ?? null}::uuid)
    and (${filter.userId ?? null}::uuid is null or t.user_id = ${filter.userId ?? null}::uuid)
    and (${filter.state ?? null}::text is null or t.state = ${filter.state ?? null}::text)
    and (${filter.mode ?? null}::text is null or t.mode = ${filter.mode ?? null}::text)
    ${newestFirst('lease', 'started_at', page)}`,
  )
  return toPage(leases, page.limit)
}
