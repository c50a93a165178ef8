import type { BreakGlassEvidence, BreakGlassReview } from '#schemas/break-glass.ts'
import type { EvidenceFacts } from '#store/break-glass-evidence.ts'

/** PostgreSQL writes moments within JSON with its own offset. */
const utc = <T extends string | null>(moment: T): T => (moment === null ? moment : (new Date(moment).toISOString() as T))

/** What the tables say about an emergency use, in the order in which an auditor asks. */
export function presentEvidence(review: BreakGlassReview, facts: EvidenceFacts): BreakGlassEvidence {
  const granted = facts.events.find((event) => event.action === 'lease.granted')
  return {
    review,
    who: { ...review.user, ...facts.login },
    why: { reason: review.reason, justification: review.justification },
    from: { ip: granted?.ip ?? null, userAgent: granted?.userAgent ?? null, correlationId: granted?.correlationId ?? null },
    when: review.openedAt,
    what: {
      identityId: review.identityId,
      identity: facts.identity.name,
      username: facts.identity.username,
      hostId: review.hostId,
      versions: [...facts.versions],
      beyondLimit: review.beyondLimit,
    },
    untilWhen: {
      promised: facts.terms.map(({ expiresAt, setAt }) => ({ expiresAt: utc(expiresAt), setAt: utc(setAt) })),
      endedAt: review.lease.endedAt,
      endCause: review.lease.endCause,
    },
    rotated: facts.rotations.map((rotation) => ({ ...rotation, startedAt: utc(rotation.startedAt), finishedAt: utc(rotation.finishedAt) })),
    proven: {
      dead: facts.hosts.length > 0 && facts.hosts.every(({ proof }) => proof !== null),
      hosts: facts.hosts.map(({ proof, ...host }) => ({ ...host, proof: proof && { ...proof, at: utc(proof.at) } })),
    },
    told: [...facts.notices],
    events: facts.events.map(({ ip: _ip, userAgent: _agent, correlationId: _correlation, at, ...event }) => ({ ...event, at: utc(at) })),
  }
}
