import { sql, type RawBuilder } from 'kysely'
import type { AccountId, HostId, IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { LeaseEndCause, LeaseState, RotationState } from '#schemas/states.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import type { Transaction } from './connection.ts'
import { newestFirst } from './newest-first.ts'
import { inScope, type Scope } from './page.ts'

/** Text of a person, sealed, with the key that it was sealed with. */
export interface SealedText {
  readonly sealed: Sealed
  readonly key: VaultKeyRef
}

/** A use of break-glass as whoever reviews it sees it; its texts are sealed. */
export interface BreakGlassReviewView {
  readonly id: LeaseId
  readonly state: 'open' | 'signed'
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly hostId: HostId | null
  readonly userId: UserId
  readonly userName: string | null
  readonly beyondLimit: boolean
  readonly openedAt: Date
  readonly leaseState: LeaseState
  readonly expiresAt: Date
  readonly endedAt: Date | null
  readonly endCause: LeaseEndCause | null
  readonly rotation: { readonly id: RotationId; readonly state: RotationState; readonly finishedAt: string | null } | null
  readonly reminders: number
  readonly signedBy: UserId | null
  readonly signedByName: string | null
  readonly signedAt: Date | null
  readonly ticket: string | null
  readonly reason: SealedText
  readonly justification: SealedText
  readonly finding: SealedText | null
}

interface Row extends Omit<BreakGlassReviewView, 'reason' | 'justification' | 'finding'> {
  readonly accountId: AccountId
  readonly salt: Buffer
  readonly reasonText: Buffer
  readonly reasonKeyId: string
  readonly justificationText: Buffer
  readonly justificationKeyId: string
  readonly findingText: Buffer | null
  readonly findingKeyId: string | null
}

const columns = sql`t.id, t.account_id as "accountId", t.state, t.organization_id as "organizationId", l.vault_id as "vaultId", l.identity_id as "identityId",
  l.host_id as "hostId", l.user_id as "userId", coalesce(u.name, u.sub) as "userName", t.beyond_limit as "beyondLimit", t.opened_at as "openedAt",
  l.state as "leaseState", l.expires_at as "expiresAt", l.ended_at as "endedAt", l.end_cause as "endCause", l.ticket, t.reminders, t.signed_by as "signedBy",
  coalesce(s.name, s.sub) as "signedByName", t.signed_at as "signedAt", v.salt, l.reason_ciphertext as "reasonText", l.reason_key_id as "reasonKeyId",
  t.justification_ciphertext as "justificationText", t.justification_key_id as "justificationKeyId", t.finding_ciphertext as "findingText",
  t.finding_key_id as "findingKeyId",
  (select jsonb_build_object('id', r.id, 'state', r.state, 'finishedAt', r.finished_at) from rotation r where r.id = l.rotation_id) as rotation
  from break_glass_review t join lease l on l.id = t.id join account_user u on u.id = l.user_id join vault v on v.id = l.vault_id
    left join account_user s on s.id = t.signed_by`

function fromRow({ accountId, salt, reasonText, reasonKeyId, justificationText, justificationKeyId, findingText, findingKeyId, ...row }: Row) {
  const { organizationId, vaultId } = row
  const text = (ciphertext: Buffer, keyId: string): SealedText => ({
    sealed: { encryptionVersion: 2, keyId, ciphertext },
    key: { accountId, organizationId, vaultId, vaultSalt: salt, keyVersion: Number(/\d+$/.exec(keyId)?.[0]) },
  })
  return {
    ...row,
    reason: text(reasonText, reasonKeyId),
    justification: text(justificationText, justificationKeyId),
    finding: findingText === null || findingKeyId === null ? null : text(findingText, findingKeyId),
  }
}

async function select(trx: Transaction, where: RawBuilder<unknown>): Promise<BreakGlassReviewView[]> {
  const { rows } = await sql<Row>`select ${columns} where ${where}`.execute(trx)
  return rows.map(fromRow)
}

/** Undefined when there is none in this account. @param id of the lease */
export async function readBreakGlassReview(trx: Transaction, id: LeaseId): Promise<BreakGlassReviewView | undefined> {
  const [review] = await select(trx, sql`t.id = ${id}::uuid`)
  return review
}

export interface ReviewFilter {
  readonly state?: BreakGlassReviewView['state'] | undefined
  readonly userId?: UserId | undefined
  readonly identityId?: IdentityId | undefined
}

/** Newest first. */
export async function listBreakGlassReviews(trx: Transaction, scope: Scope, filter: ReviewFilter, page: PageRequest): Promise<Page<BreakGlassReviewView>> {
  const reviews = await select(
    trx,
    sql`${inScope(scope, sql`t.organization_id`)}
    and (${filter.state ?? null}::text is null or t.state = ${filter.state ?? null}::text)
    and (${filter.userId ?? null}::uuid is null or l.user_id = ${filter.userId ?? null}::uuid)
    and (${filter.identityId ?? null}::uuid is null or l.identity_id = ${filter.identityId ?? null}::uuid)
    ${newestFirst('break_glass_review', 'opened_at', page)}`,
  )
  return toPage(reviews, page.limit)
}
