import { z } from 'zod'
import { HostId, IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from './ids.ts'
import { Lease, PossibleCredential, Reason } from './lease.ts'
import { Notice } from './notice.ts'
import { PageQuery } from './page.ts'
import { maximumMinutes, minimumMinutes } from './rules/lease.ts'
import { Assertion, SecurityKey } from './security-key.ts'
import { text } from './text.ts'
import { Ticket } from './ticket.ts'

const visible = /[^\p{White_Space}\p{Cf}]/u
/** What is read by somebody else later: 10-500 characters, at least one of them visible. */
const account = text(10, 500).refine((value) => visible.test(value), { error: 'must not be blank' })
const leastDifferent = 5

/**
 * 15 characters at least, as for a secret that may have to stand alone (NIST SP 800-63B-4 section 3.1.1.1); no rule about
 * classes of characters, but not one character over and over.
 */
const Passphrase = text(15, 200).refine((value) => new Set(value).size >= leastDifferent, {
  error: `must hold at least ${leastDifferent} different characters`,
})

export const EnrolBreakGlass = z
  .strictObject({ passphrase: Passphrase.meta({ description: 'Asked for at every break-glass checkout; kept as an Argon2id hash' }) })
  .meta({ examples: [{ passphrase: 'seven quiet herons over the weir' }] })

export const BreakGlassCredential = z.strictObject({
  enrolled: z.boolean().meta({ description: 'Whether there is a passphrase' }),
  enrolledAt: z.iso.datetime().nullable(),
  securityKeys: z.array(SecurityKey),
})

export const BreakGlassBody = z
  .strictObject({
    reason: Reason,
    justification: account.meta({ description: 'Why it could not wait for the usual way; whoever reviews the use reads it' }),
    breakGlassCredential: z.union([
      text(1, 200).meta({ description: 'The passphrase that the caller enrolled' }),
      Assertion.meta({ description: 'A challenge of `POST /v1/me/break-glass-credential/challenge`, signed by a security key of the caller' }),
    ]),
    ticket: Ticket.nullish(),
    hostId: HostId.nullish().meta({ description: 'A host of the identity; without it every password that may log in somewhere is answered' }),
    durationMinutes: z
      .number()
      .int()
      .min(minimumMinutes)
      .max(maximumMinutes)
      .optional()
      .meta({ description: 'At most, and by default, what the organization allows' }),
  })
  .meta({
    examples: [
      {
        reason: 'INC-2042: orders database down',
        justification: 'The on-call approver does not answer and customers cannot pay.',
        breakGlassCredential: 'seven quiet herons over the weir',
      },
    ],
  })

export const BreakGlassAnswer = z.strictObject({
  lease: Lease,
  beyondLimit: z.boolean().meta({ description: 'The identity was held already: this is one more than its maximum' }),
  credential: PossibleCredential.nullable().meta({ description: 'Null: the identity is inject-only, or the retried lease has ended' }),
  alsoPossible: z.array(PossibleCredential).meta({ description: 'Others that may log in, while a rotation is under way or hosts hold different passwords' }),
})

const person = z.strictObject({ id: UserId, name: z.string().nullable() })

/** What somebody else has to look at after an emergency. */
export const BreakGlassReview = z.strictObject({
  id: LeaseId.meta({ description: 'The lease of the use' }),
  state: z.enum(['open', 'signed']),
  organizationId: OrganizationId,
  identityGroupId: VaultId,
  identityId: IdentityId,
  hostId: HostId.nullable(),
  user: person,
  reason: z.string(),
  justification: z.string(),
  ticket: z.string().nullable(),
  beyondLimit: z.boolean(),
  openedAt: z.iso.datetime(),
  lease: z.strictObject({
    state: z.enum(['active', 'ended']),
    expiresAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
    endCause: Lease.shape.endCause,
  }),
  rotation: z
    .strictObject({ id: RotationId, state: z.enum(['pending', 'confirmed', 'failed', 'cancelled']), finishedAt: z.iso.datetime().nullable() })
    .nullable()
    .meta({ description: 'The rotation that its end owes' }),
  reminders: z.int(),
  signedBy: person.nullable(),
  signedAt: z.iso.datetime().nullable(),
  finding: z.string().nullable(),
})
export type BreakGlassReview = z.infer<typeof BreakGlassReview>

export const BreakGlassReviewQuery = PageQuery.extend({
  state: z.enum(['open', 'signed']).optional(),
  userId: UserId.optional(),
  identityId: IdentityId.optional(),
})

export const SignReview = z
  .strictObject({ finding: account })
  .meta({ examples: [{ finding: 'Justified: the outage is INC-2042; the commands match the runbook.' }] })

const moment = z.iso.datetime()

/** Who, why, from where, when, what, until when, rotated when, and proven how: what an auditor asks about an emergency (SOX 404). */
export const BreakGlassEvidence = z.strictObject({
  review: BreakGlassReview,
  who: z.strictObject({ id: UserId, name: z.string().nullable(), iss: z.string(), sub: z.string(), email: z.string().nullable() }),
  why: z.strictObject({ reason: z.string(), justification: z.string() }),
  from: z.strictObject({ ip: z.string().nullable(), userAgent: z.string().nullable(), correlationId: z.string().nullable() }),
  when: moment,
  what: z.strictObject({
    identityId: IdentityId,
    identity: z.string(),
    username: z.string(),
    hostId: HostId.nullable(),
    versions: z.array(z.int()).meta({ description: 'Versions of the credential that it gave' }),
    beyondLimit: z.boolean(),
  }),
  untilWhen: z.strictObject({
    promised: z.array(z.strictObject({ expiresAt: moment, setAt: moment })),
    endedAt: moment.nullable(),
    endCause: Lease.shape.endCause,
  }),
  rotated: z.array(
    z.strictObject({
      id: RotationId,
      trigger: z.string(),
      state: z.enum(['pending', 'confirmed', 'failed', 'cancelled']),
      version: z.int().nullable(),
      startedAt: moment,
      finishedAt: moment.nullable(),
    }),
  ),
  proven: z.strictObject({
    dead: z.boolean().meta({ description: 'On every host a version above all that were given has logged in since' }),
    hosts: z.array(
      z.strictObject({
        hostId: HostId,
        name: z.string(),
        version: z.int(),
        proof: z
          .strictObject({ rotationId: RotationId, version: z.int(), connectorId: z.string(), eventId: z.string().nullable(), at: moment })
          .nullable()
          .meta({ description: 'The fresh login by which a connector has proven it, and the audit event that says so' }),
      }),
    ),
  }),
  told: z.array(Notice).meta({ description: 'Notices about it, with the receipt of each message' }),
  events: z.array(
    z.strictObject({
      id: z.string(),
      at: moment,
      action: z.string(),
      outcome: z.string(),
      actor: z.strictObject({ kind: z.string(), id: z.string().nullable(), sub: z.string().nullable() }),
      hostId: z.string().nullable(),
      rotationId: z.string().nullable(),
      detail: z.record(z.string(), z.unknown()).nullable(),
    }),
  ),
})
export type BreakGlassEvidence = z.infer<typeof BreakGlassEvidence>

/** The seed of one-time codes (RFC 6238), shown once; `uri` is what an authenticator scans. */
export const BreakGlassTotpSeed = z.strictObject({ secret: z.string(), uri: z.string() })
const code = z.string().regex(/^\d{6}$/, { error: 'must be 6 digits' })
export const BreakGlassTotpCode = z.strictObject({ code })

/** A login for break-glass only, while the identity provider is down. */
export const BreakGlassLogin = z
  .strictObject({ user: text(1, 255).meta({ description: 'The `sub` of the person at the identity provider' }), breakGlassCredential: text(1, 200), code })
  .meta({ examples: [{ user: 'ola', breakGlassCredential: 'seven quiet herons over the weir', code: '123456' }] })
export type BreakGlassLogin = z.infer<typeof BreakGlassLogin>
export const BreakGlassToken = z.strictObject({ accessToken: z.string(), tokenType: z.literal('Bearer'), expiresIn: z.int().meta({ description: 'Seconds' }) })
