import { sql, type RawBuilder } from 'kysely'
import type { Verdict } from '#schemas/access-request.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, AccountId, ApprovalPolicyId, HostId, IdentityId, LeaseId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import { accessRequestTransitions, isFinal } from '#schemas/rules/transitions.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { AccessRequestState } from '#schemas/states.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import type { Transaction } from './connection.ts'
import { newestFirst } from './newest-first.ts'
import { inScope, type Scope } from './page.ts'

/** What somebody answered. */
export interface AccessDecision {
  readonly userId: UserId
  readonly name: string | null
  /** From 1. */
  readonly step: number
  readonly verdict: Verdict
  /** The version of the request that was decided on, and of the policy by which. */
  readonly version: number
  readonly policyId: ApprovalPolicyId | null
  readonly policyVersion: number | null
  readonly decidedAt: Date
  readonly comment: Sealed | null
}

/** What somebody asked for, and all that was answered. */
export interface AccessRequestView {
  readonly id: AccessRequestId
  readonly organizationId: OrganizationId
  /** The vault that the identity was in; the reason and the comments are sealed with its key. */
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly hostId: HostId | null
  readonly userId: UserId
  readonly requester: string | null
  /** `expired` from the last moment on, whether or not a clock has written it down. */
  readonly state: AccessRequestState
  readonly version: number
  readonly requestedMinutes: number
  readonly ticket: string | null
  /** How many people must agree at least. */
  readonly atLeast: number
  readonly openedAt: Date
  readonly expiresAt: Date
  /** The time has come for others to decide too. */
  readonly escalated: boolean
  readonly approvedAt: Date | null
  readonly closedAt: Date | null
  readonly leaseId: LeaseId | null
  readonly reason: Sealed
  readonly requestHash: Uint8Array
  /** Of every version, in order. */
  readonly decisions: readonly AccessDecision[]
  readonly accountId: AccountId
  readonly vaultSalt: Uint8Array
}

interface Row extends Omit<AccessRequestView, 'reason' | 'decisions'> {
  readonly reasonCiphertext: Buffer
  readonly reasonKeyId: string
  readonly decisions: readonly (Omit<AccessDecision, 'decidedAt' | 'comment'> & {
    readonly decidedAt: string
    readonly ciphertext: string | null
    readonly keyId: string | null
  })[]
}

const isOver = sql<boolean>`(t.state in ('pending', 'approved') and t.expires_at <= clock.now)`
const effectiveState = sql<AccessRequestState>`case when ${isOver} then 'expired' else t.state end`
const isEscalated = sql<boolean>`(t.escalate_at is not null and t.escalate_at <= clock.now)`

const requests = sql`
  with clock as materialized (select app_clock() as now)
  select t.id, t.account_id as "accountId", t.organization_id as "organizationId", t.vault_id as "vaultId", t.identity_id as "identityId", t.host_id as "hostId",
    t.user_id as "userId", coalesce(u.name, u.sub) as requester, ${effectiveState} as state, t.version, t.requested_minutes as "requestedMinutes", t.ticket,
    t.at_least as "atLeast", t.opened_at as "openedAt", t.expires_at as "expiresAt", ${isEscalated} as escalated, t.approved_at as "approvedAt",
    case when ${isOver} then t.expires_at else t.closed_at end as "closedAt", (select l.id from lease l where l.request_id = t.id) as "leaseId",
    t.reason_ciphertext as "reasonCiphertext", t.reason_key_id as "reasonKeyId", t.request_hash as "requestHash", v.salt as "vaultSalt",
    coalesce((select jsonb_agg(jsonb_build_object('userId', d.user_id, 'name', coalesce(p.name, p.sub), 'step', d.step, 'verdict', d.verdict,
        'version', d.request_version, 'policyId', d.policy_id, 'policyVersion', d.policy_version, 'decidedAt', d.decided_at,
        'ciphertext', encode(d.comment_ciphertext, 'hex'), 'keyId', d.comment_key_id) order by d.decided_at, d.id)
      from access_decision d join account_user p on p.id = d.user_id where d.request_id = t.id), '[]') as decisions
  from access_request t join account_user u on u.id = t.user_id join vault v on v.id = t.vault_id, clock`

const sealed = (keyId: string, ciphertext: Buffer): Sealed => ({ encryptionVersion: 2, keyId, ciphertext })

function fromRow({ reasonCiphertext, reasonKeyId, decisions, ...row }: Row): AccessRequestView {
  return {
    ...row,
    reason: sealed(reasonKeyId, reasonCiphertext),
    decisions: decisions.map(({ ciphertext, keyId, decidedAt, ...decision }) => ({
      ...decision,
      decidedAt: new Date(decidedAt),
      comment: ciphertext === null || keyId === null ? null : sealed(keyId, Buffer.from(ciphertext, 'hex')),
    })),
  }
}

async function select(trx: Transaction, where: RawBuilder<unknown>): Promise<AccessRequestView[]> {
  const { rows } = await sql<Row>`${requests} where ${where}`.execute(trx)
  return rows.map(fromRow)
}

/** Undefined when there is none in this account. */
export async function findAccessRequest(trx: Transaction, id: AccessRequestId): Promise<AccessRequestView | undefined> {
  const [request] = await select(trx, sql`t.id = ${id}::uuid`)
  return request
}

/** @throws LeaseholdError `not-found` */
export async function readAccessRequest(trx: Transaction, id: AccessRequestId): Promise<AccessRequestView> {
  const request = await findAccessRequest(trx, id)
  if (request === undefined) throw new LeaseholdError('not-found')
  return request
}

/**
 * Takes the lock that every decision about a request waits for, by a statement of its own, and reads the request behind it.
 *
 * @throws LeaseholdError `not-found`
 */
export async function lockAccessRequest(trx: Transaction, id: AccessRequestId): Promise<AccessRequestView> {
  await sql`select from access_request where id = ${id}::uuid for no key update`.execute(trx)
  return readAccessRequest(trx, id)
}

/** @throws LeaseholdError `access-request-closed` with what it has become */
export function refuseClosed({ id, state }: Pick<AccessRequestView, 'id' | 'state'>): void {
  if (isFinal(accessRequestTransitions, state)) throw new LeaseholdError('access-request-closed', { requestId: id, state })
}

export interface AccessRequestFilter {
  readonly state?: AccessRequestState | undefined
  readonly identityId?: IdentityId | undefined
  readonly vaultId?: VaultId | undefined
  readonly userId?: UserId | undefined
  readonly show?: 'own' | 'decidable' | undefined
}

/** The caller's own requests, those that they may decide on, and those of the scope. Newest first. */
export async function listAccessRequests(
  trx: Transaction,
  scope: Scope,
  caller: UserId,
  { state, identityId, vaultId, userId, show }: AccessRequestFilter,
  page: PageRequest,
): Promise<Page<AccessRequestView>> {
  const own = sql<boolean>`t.user_id = ${caller}::uuid`
  const approver = sql<boolean>`(not ${own} and exists (select from identity i left join approval_policy_of(i.id) y on true,
    lateral approvers_of(y.id, i.organization_id) a where i.id = t.identity_id and a.user_id = ${caller}::uuid and (a.step is not null or ${isEscalated})))`
  // Decisions under another version of the policy answered something else; of the approvals some may be worth nothing by now.
  const present = sql`d.request_id = t.id and d.request_version = t.version and d.policy_id is not distinct from y.id and d.policy_version is not distinct from y.version`
  const isShort = sql<boolean>`exists (select from (select 1) one left join lateral approval_policy_of(t.identity_id) y on true
    where not exists (select from access_decision d where ${present} and d.user_id = ${caller}::uuid)
      and (${effectiveState} = 'pending' or (${effectiveState} = 'approved' and
        (select count(distinct d.user_id) from access_decision d where ${present} and d.verdict = 'approve')
          < greatest(t.at_least, coalesce((select sum(s.needed) from approval_step s where s.policy_id = y.id), 1)))))`
  const waits = sql<boolean>`(${approver} and ${isShort})`
  const shown =
    show === 'own' ? own : show === 'decidable' ? waits : sql<boolean>`(${own} or ${inScope(scope, sql`t.organization_id`, sql`t.vault_id`)} or ${approver})`
  const found = await select(
    trx,
    sql`${shown}
    and (${state ?? null}::text is null or ${effectiveState} = ${state ?? null}::text)
    and (${identityId ?? null}::uuid is null or t.identity_id = ${identityId ?? null}::uuid)
    and (${vaultId ?? null}::uuid is null or t.vault_id = ${vaultId ?? null}::uuid)
    and (${userId ?? null}::uuid is null or t.user_id = ${userId ?? null}::uuid)
    ${newestFirst('access_request', 'opened_at', page)}`,
  )
  return toPage(found, page.limit)
}

/** Key that a reason or comment of the request was sealed with. */
export const keyOf = ({ accountId, organizationId, vaultId, vaultSalt }: AccessRequestView, { keyId }: Sealed): VaultKeyRef => ({
  accountId,
  organizationId,
  vaultId,
  vaultSalt,
  keyVersion: Number(/\d+$/.exec(keyId)?.[0]),
})
