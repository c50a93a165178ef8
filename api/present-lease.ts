import { decide } from '#policy/decide.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { Lease } from '#schemas/lease.ts'
import type { Principal } from '#schemas/principal.ts'
import type { LeaseView } from '#store/lease-view.ts'
import { openReason } from './key-ring.ts'
import type { Parts } from './parts.ts'

type Shown = Omit<LeaseFacts, 'leaseId' | 'terms' | 'remainingMs' | 'slot'>

/** @param said what the facts of a lease do not hold: the holder's name, the reason where the caller may see it, the ticket, who ended it, what approved it */
export function presentLease(
  id: Lease['id'],
  facts: Shown,
  said: { readonly holder: string | null } & Pick<Lease, 'reason' | 'ticket' | 'endedBy' | 'requestId'>,
): Lease {
  return {
    id,
    organizationId: facts.organizationId,
    identityGroupId: facts.vaultId,
    identityId: facts.identityId,
    hostId: facts.hostId,
    mode: facts.mode,
    state: facts.state,
    holder: { id: facts.userId, name: said.holder },
    reason: said.reason,
    ticket: said.ticket,
    durationMinutes: facts.requestedMinutes,
    startedAt: facts.startedAt,
    expiresAt: facts.expiresAt,
    endedAt: facts.endedAt,
    endCause: facts.endCause,
    endedBy: said.endedBy,
    credentialVersion: facts.credentialVersion,
    requestId: said.requestId,
    rotationId: facts.rotation?.id ?? null,
    version: facts.version,
  }
}

/** A stored lease; its reason is opened only for those who may read it. */
export async function presentLeaseView({ vaultKeys }: Pick<Parts, 'vaultKeys'>, principal: Principal, view: LeaseView): Promise<Lease> {
  const { organizationId, vaultId, userId } = view
  const mayRead = decide(principal, 'lease.read-reason', { organizationId, vaultId, holderId: userId }).permit
  const reason = mayRead ? await openReason(vaultKeys, view.identityId, { sealed: view.reason, key: view.reasonKey }) : null
  return presentLease(view.id, view, { holder: view.holder, reason, ticket: view.ticket, endedBy: view.endedBy, requestId: view.requestId })
}
