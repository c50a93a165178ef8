import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { ApprovalPolicy, ApprovalSettings, Approver, ChangeApprovalPolicy, CreateApprovalPolicy } from '#schemas/approval-policy.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { ApprovalPolicyId, IdentityId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import { accountTerms, isLooser } from '#schemas/rules/approval-policy.ts'
import { appendAudit } from './audit.ts'
import { approvalSteps, refuseUnreachable } from './approval-terms.ts'
import type { Change } from './change.ts'
import type { Transaction } from './connection.ts'
import { findDirectoryRecord } from './idp.ts'
import { readIdentity } from './identity.ts'
import { fieldsOf, merged } from './merged.ts'
import { inScope, pageClause, type Scope } from './page.ts'
import { expectVersion, refuseDuplicates, refuseFaults } from './refusals.ts'
import { askAnew } from './open-access-request.ts'
import { lockVault, readVault } from './vault.ts'
import { announceApprovalTurn } from './weaken-approval.ts'

const approverOf = sql`case when a.idp_user_id is not null then jsonb_build_object('type', 'user', 'id', a.idp_user_id)
  when a.idp_group_id is not null then jsonb_build_object('type', 'group', 'id', a.idp_group_id) else jsonb_build_object('type', 'permission') end`

const policies = sql`
  select p.id, p.organization_id as "organizationId", p.vault_id as "identityGroupId", p.identity_id as "identityId", p.required,
    (select jsonb_agg(jsonb_build_object('needed', s.needed, 'approvers',
        (select jsonb_agg(${approverOf} order by a.id) from approval_approver a where a.policy_id = p.id and a.step = s.step)) order by s.step)
      from approval_step s where s.policy_id = p.id) as steps,
    p.timeout_minutes as "timeoutMinutes", p.validity_minutes as "validityMinutes", p.maximum_minutes as "maximumMinutes",
    case when p.escalate_after_minutes is not null then jsonb_build_object('afterMinutes', p.escalate_after_minutes, 'approvers',
      (select jsonb_agg(${approverOf} order by a.id) from approval_approver a where a.policy_id = p.id and a.step is null)) end as escalation,
    p.windows, p.version, p.created_at as "createdAt"
  from approval_policy p where p.deleted_at is null`

type Row = Omit<ApprovalPolicy, 'createdAt'> & { readonly createdAt: Date }
const fromRow = (row: Row): ApprovalPolicy => ({ ...row, createdAt: row.createdAt.toISOString() })

/** @throws LeaseholdError `not-found` */
export async function readApprovalPolicy(trx: Transaction, id: ApprovalPolicyId): Promise<ApprovalPolicy> {
  const { rows } = await sql<Row>`${policies} and p.id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/** The one that holds for an identity now. */
export async function findPolicyOf(trx: Transaction, identityId: IdentityId): Promise<ApprovalPolicy | undefined> {
  const { rows } = await sql<Row>`${policies} and p.id = (select id from approval_policy_of(${identityId}::uuid))`.execute(trx)
  return rows.map(fromRow)[0]
}

export async function findVaultPolicy(trx: Transaction, vaultId: VaultId): Promise<ApprovalPolicy | undefined> {
  const { rows } = await sql<Row>`${policies} and p.vault_id = ${vaultId}::uuid`.execute(trx)
  return rows.map(fromRow)[0]
}

export interface ApprovalPolicyFilter {
  readonly vaultId?: VaultId | undefined
  readonly identityId?: IdentityId | undefined
}

export async function listApprovalPolicies(trx: Transaction, scope: Scope, filter: ApprovalPolicyFilter, page: PageRequest): Promise<Page<ApprovalPolicy>> {
  const { vaultId = null, identityId = null } = filter
  const { rows } = await sql<Row>`${policies} and ${inScope(scope, sql`p.organization_id`)}
    and (${vaultId}::uuid is null or p.vault_id = ${vaultId}::uuid) and (${identityId}::uuid is null or p.identity_id = ${identityId}::uuid)
    ${pageClause(sql`p.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

export interface NewApprovalPolicy {
  readonly id: ApprovalPolicyId
  readonly caller: Principal
  readonly actor: Actor
}

/**
 * One of an identity takes the place of its vault's, which it may loosen.
 *
 * @throws LeaseholdError `not-found` (vault, identity or approver), `already-exists` (it has one), `forbidden` (it loosens what guards the caller),
 *   `quorum-unreachable`, `validation-failed`
 */
export async function createApprovalPolicy(trx: Transaction, { id, caller, actor }: NewApprovalPolicy, body: CreateApprovalPolicy): Promise<ApprovalPolicy> {
  const { identityGroupId: vaultId, identityId, ...settings } = body
  const { organizationId } = await lockTarget(trx, { vaultId, identityId })
  refuseLateEscalation(settings)
  const before = (identityId === undefined ? undefined : await findPolicyOf(trx, identityId)) ?? (await findAccountTerms(trx))
  await refuseDuplicates(
    sql`insert into approval_policy (id, organization_id, vault_id, identity_id, required, timeout_minutes, validity_minutes, maximum_minutes, escalate_after_minutes, windows)
      values (${id}::uuid, ${organizationId}::uuid, ${vaultId ?? null}::uuid, ${identityId ?? null}::uuid, ${settings.required}::boolean,
        ${settings.timeoutMinutes}::int, ${settings.validityMinutes}::int, ${settings.maximumMinutes}::int, ${settings.escalation?.afterMinutes ?? null}::int,
        ${JSON.stringify(settings.windows)}::jsonb)`.execute(trx),
  )
  await writeApprovers(trx, id, settings, caller)
  await refuseUnreachable(await approvalSteps(trx, id, organizationId))
  const policy = await readApprovalPolicy(trx, id)
  await announceApprovalTurn(trx, { policy, verb: 'created', looser: before !== undefined && isLooser(before, policy), caller })
  await record(trx, policy, 'approval_policy.created', actor, settings)
  return policy
}

/**
 * Decisions that were made under the version before count no more: they answered something else.
 *
 * @throws LeaseholdError `not-found`, `precondition-failed`, `forbidden` (it loosens what guards the caller), `quorum-unreachable`, `validation-failed`
 */
export async function changeApprovalPolicy(trx: Transaction, change: Change<ApprovalPolicyId>, body: ChangeApprovalPolicy): Promise<ApprovalPolicy> {
  const { id, caller, actor, expectedVersion } = change
  const before = await lockPolicy(trx, id)
  expectVersion(before.version, expectedVersion)
  const after = merged<ApprovalSettings>(before, body)
  refuseLateEscalation(after)
  await sql`update approval_policy set required = ${after.required}::boolean, timeout_minutes = ${after.timeoutMinutes}::int,
    validity_minutes = ${after.validityMinutes}::int, maximum_minutes = ${after.maximumMinutes}::int,
    escalate_after_minutes = ${after.escalation?.afterMinutes ?? null}::int, windows = ${JSON.stringify(after.windows)}::jsonb, version = version + 1
    where id = ${id}::uuid`.execute(trx)
  await sql`delete from approval_approver where policy_id = ${id}::uuid`.execute(trx)
  await sql`delete from approval_step where policy_id = ${id}::uuid`.execute(trx)
  await writeApprovers(trx, id, after, caller)
  await refuseUnreachable(await approvalSteps(trx, id, before.organizationId))
  const policy = await readApprovalPolicy(trx, id)
  await announceApprovalTurn(trx, { policy, verb: 'changed', looser: isLooser(before, policy), caller })
  await askAnew(trx, policy)
  await record(trx, before, 'approval_policy.changed', actor, { fields: fieldsOf(body), ...body })
  return policy
}

/** @throws LeaseholdError `not-found`, `precondition-failed`, `forbidden` (it guards the caller) */
export async function deleteApprovalPolicy(trx: Transaction, { id, caller, actor, expectedVersion }: Change<ApprovalPolicyId>): Promise<void> {
  const before = await lockPolicy(trx, id)
  expectVersion(before.version, expectedVersion)
  await sql`update approval_policy set deleted_at = app_clock(), version = version + 1 where id = ${id}::uuid`.execute(trx)
  await announceApprovalTurn(trx, { policy: before, verb: 'deleted', looser: true, caller })
  await askAnew(trx, before)
  await record(trx, before, 'approval_policy.deleted', actor, {})
}

/** Where there is no approval policy, holders of the permission agree to what a policy of the account asks for; undefined: none asks. */
async function findAccountTerms(trx: Transaction): Promise<Parameters<typeof isLooser>[0] | undefined> {
  const { rows } = await sql`select from policy_set where in_force and policies like '%obligation_require_approval%'`.execute(trx)
  return rows.length === 0 ? undefined : accountTerms
}

async function lockTarget(trx: Transaction, { vaultId, identityId }: ApprovalPolicyFilter) {
  if (identityId !== undefined) return readIdentity(trx, identityId)
  if (vaultId === undefined) throw new LeaseholdError('not-found')
  await lockVault(trx, vaultId, 'use')
  return readVault(trx, vaultId)
}

async function lockPolicy(trx: Transaction, id: ApprovalPolicyId): Promise<ApprovalPolicy> {
  await sql`select from approval_policy where id = ${id}::uuid for update`.execute(trx)
  return readApprovalPolicy(trx, id)
}

/** A request that has expired escalates no more. */
function refuseLateEscalation({ escalation, timeoutMinutes }: ApprovalSettings): void {
  const late = escalation !== null && escalation.afterMinutes >= timeoutMinutes
  refuseFaults(late ? [{ path: 'escalation.afterMinutes', message: 'must be less than timeoutMinutes' }] : [])
}

async function writeApprovers(trx: Transaction, id: ApprovalPolicyId, { steps, escalation }: ApprovalSettings, caller: Principal): Promise<void> {
  for (const [index, { needed, approvers }] of steps.entries()) {
    await sql`insert into approval_step (policy_id, step, needed) values (${id}::uuid, ${index + 1}::int, ${needed}::int)`.execute(trx)
    for (const approver of approvers) await writeApprover(trx, id, index + 1, approver, caller)
  }
  for (const approver of escalation?.approvers ?? []) await writeApprover(trx, id, null, approver, caller)
}

async function writeApprover(trx: Transaction, id: ApprovalPolicyId, step: number | null, approver: Approver, caller: Principal): Promise<void> {
  const record = approver.type === 'permission' ? undefined : await findDirectoryRecord(trx, approver, caller)
  const [user, group] = [record?.type === 'user' ? record.id : null, record?.type === 'group' ? record.id : null]
  await sql`insert into approval_approver (policy_id, step, idp_user_id, idp_group_id)
    values (${id}::uuid, ${step}::int, ${user}::uuid, ${group}::uuid)`.execute(trx)
}

async function record(trx: Transaction, policy: ApprovalPolicy, action: string, actor: Actor, said: object): Promise<void> {
  const { id, organizationId, identityGroupId, identityId } = policy
  await appendAudit(trx, {
    actor,
    action,
    effect: 'permit',
    outcome: 'success',
    organizationId,
    ...(identityGroupId === null ? {} : { vaultId: identityGroupId }),
    ...(identityId === null ? {} : { identityId }),
    detail: { policyId: id, ...said },
  })
}
