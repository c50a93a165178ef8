import { decide, type Decision, type Resource } from '#policy/decide.ts'
import type { Action } from '#policy/rules.ts'
import { LeaseholdError, type ErrorCode } from '#schemas/errors.ts'
import type { Actor, AuditEntry } from '#schemas/audit-event.ts'
import type { AccessRequestId, HostId, IdentityId, LeaseId, RotationId } from '#schemas/ids.ts'
import type { Permission, Principal } from '#schemas/principal.ts'
import { whomToAsk } from '#store/access-report.ts'
import { appendAudit } from '#store/audit.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { readPrincipal } from '#store/principal.ts'
import type { Login } from './authenticate.ts'

/** Ids that a found resource may carry beside what the decision rests on: they go on record with a denial. */
export interface Named {
  readonly identityId?: IdentityId
  readonly hostId?: HostId | null
  readonly leaseId?: LeaseId
  readonly rotationId?: RotationId
  readonly requestId?: AccessRequestId
}

/** Who asks, as far as a decision and its record need it. */
type Asking = Login & { readonly actor: Actor }

/**
 * The one decision of a request; a denial is committed to the audit log before it is answered.
 *
 * @throws LeaseholdError `forbidden`, `not-found`, `no-idp-user-mapping`
 */
export async function authorize(db: Db, caller: Asking & { readonly principal: Principal }, action: Action, resource: Resource & Named): Promise<void> {
  const decision = decide(caller.principal, action, resource)
  if (decision.permit) return
  await recordDenial(db, caller, action, resource, decision.code)
  // Where the caller may not know that there is something, the answer must not say what is missing for it, or who could give it.
  if (decision.code === 'not-found') throw new LeaseholdError('not-found')
  const { missing } = decision
  const ask = await inAccount(db, caller.accountId, (trx) => whomToAsk(trx, giverOf(missing), resource.organizationId ?? null, caller.userId))
  throw new LeaseholdError(decision.code, { ...(missing === undefined ? {} : { missing }), ask })
}

/** Vault access is given by whoever manages vaults, everything else by whoever manages the organization. */
const giverOf = (missing: string | undefined): Permission => (missing?.startsWith('vault access') === true ? 'pam_vaults.manage' : 'organizations.manage')

/** Denials have a transaction of their own: there is no fact that they could be part of. */
export async function recordDenial(db: Db, { accountId, actor }: Asking, action: Action, resource: Resource & Named, outcome: ErrorCode): Promise<void> {
  const { organizationId, vaultId, identityId, hostId, leaseId, rotationId, requestId } = resource
  const entry: AuditEntry = {
    actor,
    action,
    effect: 'deny',
    outcome,
    ...(organizationId ? { organizationId } : {}),
    ...(vaultId ? { vaultId } : {}),
    ...(identityId ? { identityId } : {}),
    ...(hostId ? { hostId } : {}),
    ...(leaseId ? { leaseId } : {}),
    ...(rotationId ? { rotationId } : {}),
    ...(requestId ? { requestId } : {}),
  }
  await inAccount(db, accountId, (trx) => appendAudit(trx, entry))
}

/**
 * Before a change that gives something is committed: whoever makes it must still be allowed to. What took their right away
 * meanwhile is committed by now, or comes after us.
 *
 * @throws LeaseholdError `forbidden`, `not-found`, `no-idp-user-mapping`
 */
export async function confirmRight(trx: Transaction, before: Principal, action: Action, resource: Resource): Promise<void> {
  const now = await readPrincipal(trx, before.userId)
  const decision: Decision = now === undefined ? { permit: false, code: 'forbidden' } : decide(now, action, resource)
  if (!decision.permit) throw new LeaseholdError(decision.code, decision.missing === undefined ? {} : { missing: decision.missing })
}
