import { sql, type Selectable } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { AccountId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import type { Database } from './database.ts'
import { newestFirst } from './newest-first.ts'
import { inScope, type Scope } from './page.ts'

type Stored = Selectable<Database['audit_event']>

/** One event of the log as it is stored, with its reason still sealed. */
export interface AuditEventView extends Omit<Stored, 'reason_ciphertext' | 'reason_key_id'> {
  readonly reason: { readonly sealed: Sealed; readonly key: VaultKeyRef } | null
  /** A reason about the account itself, sealed under its key. */
  readonly accountReason: Sealed | null
}

export interface AuditFilter {
  readonly action?: string | undefined
  readonly effect?: 'permit' | 'deny' | undefined
  readonly actorId?: string | undefined
  readonly organizationId?: string | undefined
  readonly vaultId?: string | undefined
  readonly identityId?: string | undefined
  readonly hostId?: string | undefined
  readonly leaseId?: string | undefined
  readonly rotationId?: string | undefined
  readonly requestId?: string | undefined
  readonly connectorId?: string | undefined
  readonly correlationId?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  /** Only what was done to support access, and what support staff did. */
  readonly supportAccess?: true | undefined
}

/** Events of the scope, newest first; that they were read is on record with it. */
export async function readAuditLog(trx: Transaction, actor: Actor, scope: Scope, filter: AuditFilter, page: PageRequest): Promise<Page<AuditEventView>> {
  const events = await listAuditEvents(trx, scope, filter, page)
  const detail = { events: events.items.length, filters: Object.keys(filter) }
  await appendAudit(trx, { actor, action: 'audit.read', effect: 'permit', outcome: 'success', detail })
  return events
}

async function listAuditEvents(trx: Transaction, scope: Scope, filter: AuditFilter, page: PageRequest): Promise<Page<AuditEventView>> {
  const [from, to] = [instant(filter.from), instant(filter.to)]
  const { rows } = await sql<Stored & { salt: Buffer | null }>`
    select t.*, host(t.ip) as ip, v.salt from audit_event t left join vault v on v.id = t.vault_id
    where ${inScope(scope, sql`t.organization_id`)}
      and (${filter.action ?? null}::text is null or t.action = ${filter.action ?? null}::text)
      and (${filter.effect ?? null}::text is null or t.effect = ${filter.effect ?? null}::text)
      and (${filter.actorId ?? null}::text is null or t.actor_id = ${filter.actorId ?? null}::text)
      and (${filter.organizationId ?? null}::uuid is null or t.organization_id = ${filter.organizationId ?? null}::uuid)
      and (${filter.vaultId ?? null}::uuid is null or t.vault_id = ${filter.vaultId ?? null}::uuid)
      and (${filter.identityId ?? null}::uuid is null or t.identity_id = ${filter.identityId ?? null}::uuid)
      and (${filter.hostId ?? null}::uuid is null or t.host_id = ${filter.hostId ?? null}::uuid)
      and (${filter.leaseId ?? null}::uuid is null or t.lease_id = ${filter.leaseId ?? null}::uuid)
      and (${filter.rotationId ?? null}::uuid is null or t.rotation_id = ${filter.rotationId ?? null}::uuid)
      and (${filter.requestId ?? null}::uuid is null or t.request_id = ${filter.requestId ?? null}::uuid)
      and (${filter.connectorId ?? null}::uuid is null or t.connector_id = ${filter.connectorId ?? null}::uuid)
      and (${filter.correlationId ?? null}::text is null or t.correlation_id = ${filter.correlationId ?? null}::text)
      and (${filter.supportAccess ?? false}::boolean = false or t.action like 'support-access.%'
        or t.actor_id in (select u.id::text from account_user u where u.support))
      and (${from}::timestamptz is null or t.at >= ${from}::timestamptz)
      and (${to}::timestamptz is null or t.at < ${to}::timestamptz)
      ${newestFirst('audit_event', 'at', page)}`.execute(trx)
  return toPage(
    rows.map(({ salt, reason_ciphertext: ciphertext, reason_key_id: keyId, ...event }) => ({
      ...event,
      reason: reasonOf(event, ciphertext, keyId, salt),
      accountReason: ciphertext === null || keyId === null || !isOfAccount(keyId) ? null : { encryptionVersion: 2, keyId, ciphertext },
    })),
    page.limit,
  )
}

/** PostgreSQL takes offsets up to 16 hours, ISO 8601 up to 24. */
const instant = (moment: string | undefined): string | null => (moment === undefined ? null : new Date(moment).toISOString())

/** Keys of accounts are called `a<version>`, those of organizations `o<version>`. */
const isOfAccount = (keyId: string): boolean => keyId.startsWith('a')

function reasonOf(
  { account_id, organization_id, vault_id }: Pick<Stored, 'account_id' | 'organization_id' | 'vault_id'>,
  ciphertext: Buffer | null,
  keyId: string | null,
  vaultSalt: Buffer | null,
): AuditEventView['reason'] {
  if (ciphertext === null || keyId === null || isOfAccount(keyId) || vaultSalt === null || organization_id === null || vault_id === null) return null
  const key = {
    accountId: account_id as AccountId,
    organizationId: organization_id as OrganizationId,
    vaultId: vault_id as VaultId,
    vaultSalt,
    keyVersion: Number(/\d+$/.exec(keyId)?.[0]),
  }
  return { sealed: { encryptionVersion: 2, keyId, ciphertext }, key }
}
