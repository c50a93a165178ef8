import { v5 as uuidv5 } from 'uuid'
import type { z } from 'zod'
import { AccessRequestId, type IdentityId, type OrganizationId, type VaultId } from '#schemas/ids.ts'
import type { CheckoutBody } from '#schemas/lease.ts'
import { readApprovalTerms } from '#store/approval-terms.ts'
import type { CheckoutFacts } from '#store/checkout-facts.ts'
import { openAccessRequest } from '#store/open-access-request.ts'
import { etag } from './etag.ts'
import { fetchKeyRing } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { presentAccessRequest } from './present-access-request.ts'
import { reply, type Reply, type RouteContext } from './route.ts'

type Asking = Pick<
  RouteContext<
    unknown,
    unknown,
    z.infer<typeof CheckoutBody>,
    { readonly organizationId: OrganizationId; readonly vaultId: VaultId; readonly identityId: IdentityId; readonly facts: CheckoutFacts }
  >,
  'principal' | 'actor' | 'approvers' | 'body' | 'found' | 'idempotency' | 'inAccount'
>

/**
 * A checkout that others must agree to: asks them, and gives nothing yet. The same request sent again answers what has become of it.
 *
 * @throws LeaseholdError `validation-failed`, `quorum-unreachable`, `access-request-open`, `access-request-limit`, `idempotency-key-reused`, `dependency-unavailable`
 */
export async function askApprovers({ vaultKeys, wakeLoops }: Parts, asking: Asking): Promise<Reply> {
  const { principal, actor, approvers, body, found, idempotency, inAccount } = asking
  const { identityId, vaultId, organizationId } = found
  const reason = (await fetchKeyRing(vaultKeys, found.facts)).sealReason(identityId, body.reason)
  const opened = await inAccount(async (trx) => ({
    ...(await openAccessRequest(trx, {
      id: AccessRequestId.parse(uuidv5(`access-request:${principal.userId}:${idempotency.key}`, principal.accountId)),
      identityId,
      vault: { vaultId, organizationId },
      hostId: body.hostId ?? null,
      minutes: body.durationMinutes,
      ticket: body.ticket ?? null,
      reason,
      atLeast: Math.max(1, approvers),
      requestHash: idempotency.requestHash,
      principal,
      actor,
    })),
    terms: await readApprovalTerms(trx, identityId),
  }))
  wakeLoops()
  const accessRequest = await presentAccessRequest(vaultKeys, principal.userId, opened)
  return reply(
    202,
    { accessRequest },
    { ...etag(accessRequest), location: `/v1/access-requests/${accessRequest.id}`, ...(opened.replayed ? { 'idempotent-replayed': 'true' } : {}) },
  )
}
