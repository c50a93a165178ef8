import { sql } from 'kysely'
import type { ApprovalPolicy } from '#schemas/approval-policy.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { vaultAccess } from '#schemas/rules/access.ts'
import { readIdentity } from './identity.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'
import { readPrincipal } from './principal.ts'

/** What becomes of an approval policy. */
export interface ApprovalTurn {
  readonly policy: Pick<ApprovalPolicy, 'id' | 'organizationId' | 'identityGroupId' | 'identityId'>
  readonly verb: 'created' | 'changed' | 'deleted'
  /** Something is approved more easily than before. */
  readonly looser: boolean
  readonly caller: Pick<Principal, 'userId'>
}

/**
 * Nobody but an owner makes an approval easier that stands between them and a credential; and whoever does it, the administrators
 * hear of it.
 *
 * @throws LeaseholdError `forbidden`
 */
export async function announceApprovalTurn(trx: Transaction, { policy, verb, looser, caller }: ApprovalTurn): Promise<void> {
  const { id, organizationId, identityGroupId, identityId } = policy
  if (looser) await refuseOwnGain(trx, caller.userId, policy)
  await raiseNotice(trx, {
    kind: 'approval_policy.changed',
    severity: looser ? 'critical' : 'info',
    subject: { type: 'approval_policy', id },
    organizationId,
    to: 'admins',
    facts: { vaultId: identityGroupId, identityId, change: verb, loosened: looser, changedById: caller.userId },
  })
}

/** A value that is checked out can be revealed as well, once no approval is required. */
async function refuseOwnGain(trx: Transaction, userId: UserId, { identityGroupId, identityId }: ApprovalTurn['policy']): Promise<void> {
  const now = await readPrincipal(trx, userId)
  if (now?.owner === true) return
  const vaultId = identityGroupId ?? (identityId === null ? null : (await readIdentity(trx, identityId)).identityGroupId)
  if (vaultId === null) return
  if (now !== undefined && vaultAccess(now, vaultId, 'view_credentials') === undefined && !(await asksThere(trx, userId, vaultId))) return
  throw new LeaseholdError('forbidden', { missing: 'an owner, or somebody who cannot check out here' })
}

async function asksThere(trx: Transaction, userId: UserId, vaultId: VaultId): Promise<boolean> {
  const { rows } = await sql`select from access_request t join identity i on i.id = t.identity_id where t.user_id = ${userId}::uuid
    and i.vault_id = ${vaultId}::uuid and t.state in ('pending', 'approved') and t.expires_at > app_clock() limit 1`.execute(trx)
  return rows.length > 0
}
