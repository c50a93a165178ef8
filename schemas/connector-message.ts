import { z } from 'zod'
import { ConnectorId, JobId, OrganizationId, Uuid } from './ids.ts'

/**
 * Everything that control plane and connector say to each other over NATS, and the secret of one job, which travels
 * sealed to the connector's own key. Unknown fields are refused on both sides; `v` grows with any change of meaning.
 */

const v = z.literal(1)
const instance = Uuid
const epoch = z.number().int().min(1).max(2_147_483_647)
/** reset: set the staged value and prove it; probe: find out which of the two values logs in; check: log in once with the staged one. */
const kind = z.enum(['reset', 'probe', 'check'])
const port = z.number().int().min(1).max(65_535)
const shortText = z.string().min(1).max(200)

/** Subjects inside the NATS account of the connector's organization; the connector's id is part of each and never of a body. */
export const subjects = {
  hello: (connector: string) => `pam.v1.c.${connector}.up.hello`,
  claim: (connector: string) => `pam.v1.c.${connector}.up.claim`,
  result: (connector: string) => `pam.v1.c.${connector}.up.result`,
  alarm: (connector: string) => `pam.v1.c.${connector}.up.alarm`,
  offer: (connector: string) => `pam.v1.c.${connector}.dn.offer`,
  /** Says whether a connector is really there: it echoes what it gets. */
  echo: (connector: string) => `pam.v1.c.${connector}.dn.echo`,
  inboxPrefix: (connector: string) => `_INBOX.${connector}`,
} as const

/** Last step of a job that the connector's journal knows of. */
export const journalStates = ['received', 'claimed', 'applying', 'applied', 'verified', 'reported'] as const

/** connector -> control plane, every 10 s and at each start. */
export const Hello = z.strictObject({
  v,
  /** Made anew at each start of the process. */
  instance,
  build: shortText,
  adapters: z.array(shortText).max(20),
  /** Jobs that an earlier instance left without a result. */
  open: z.array(z.strictObject({ jobId: JobId, epoch, state: z.enum(journalStates) })).max(1_000),
})
export type Hello = z.infer<typeof Hello>

export const HelloAnswer = z.strictObject({
  v,
  /** The control plane's clock, ms since 1970; offers are judged by it. */
  now: z.number().int(),
  /** A fresh NATS user JWT, when the present one is past half of its life. */
  userJwt: z.string().max(10_000).optional(),
})
export type HelloAnswer = z.infer<typeof HelloAnswer>

/** control plane -> connector: payload of a compact JWS (RFC 7515, EdDSA by a key that never leaves OpenBao). No secret in it. */
export const Offer = z.strictObject({
  v,
  connectorId: ConnectorId,
  jobId: JobId,
  /** The epoch that the claim of this offer will have. */
  epoch,
  kind,
  /** s since 1970, by the control plane's clock. */
  iat: z.number().int(),
  exp: z.number().int(),
})
export type Offer = z.infer<typeof Offer>
export const offerType = 'leasehold-offer+jws'

export const offerRefusals = ['signature', 'malformed', 'expired', 'foreign', 'stale', 'busy', 'draining'] as const
export const OfferAnswer = z.strictObject({ v, accepted: z.boolean(), why: z.enum(offerRefusals).optional() })
export type OfferAnswer = z.infer<typeof OfferAnswer>
export type OfferRefusal = (typeof offerRefusals)[number]

/**
 * connector -> control plane: offers came that we do not make. Somebody else speaks to the connector, or says again what we said.
 * At most one for each reason in 10 s; `count`: how many offers since the last one.
 */
export const Alarm = z.strictObject({
  v,
  why: z.enum(['signature', 'malformed', 'expired', 'foreign', 'stale']),
  count: z.number().int().min(1).max(1_000_000),
})
export type Alarm = z.infer<typeof Alarm>

/** connector -> control plane. The same (job, epoch, instance) gets the same answer again. */
export const ClaimRequest = z.strictObject({ v, jobId: JobId, epoch, instance })
export type ClaimRequest = z.infer<typeof ClaimRequest>

/** `later`: a lease holds the account; `gone`: not this job, epoch or instance any more. */
export const ClaimAnswer = z.union([
  z.strictObject({ v, jwe: z.string().max(120_000) }),
  z.strictObject({ v, refused: z.enum(['later', 'gone', 'unavailable']) }),
])
export type ClaimAnswer = z.infer<typeof ClaimAnswer>

/** A password, or a private key in one of the forms that a person may store (credential-form.ts). */
const value = z.string().min(1).max(32_768)
const login = z.strictObject({ username: z.string().min(1).max(255), password: value })

/**
 * What the control plane signs of a job, by the key that signs offers. `digest`: SHA-256 of the job's text, base64url; the text has a
 * random key in it, so its digest tells nothing.
 */
export const JobDigest = z.strictObject({ v, connectorId: ConnectorId, jobId: JobId, epoch, digest: z.string().regex(/^[A-Za-z0-9_-]{43}$/) })
export type JobDigest = z.infer<typeof JobDigest>
export const jobType = 'leasehold-job+jws'

/**
 * A job: target and values. Plaintext of the JWE (RFC 7516; ECDH-ES+A256KW, A256GCM) in a claim's answer are a compact JWS of its
 * `JobDigest`, a line end, and its text: the JWE alone says who may read it and not who wrote it. Kept in memory only, for one job.
 */
export const SealedJob = z.strictObject({
  v,
  jobId: JobId,
  epoch,
  connectorId: ConnectorId,
  kind,
  /** ms, counted from the moment the claim was sent: after it the change must not be sent any more. */
  deadlineMs: z.number().int().min(0),
  target: z.strictObject({ address: z.string().min(1).max(253), port, adapter: shortText, parameters: z.record(z.string(), z.unknown()) }),
  account: z.strictObject({ username: z.string().min(1).max(255) }),
  /** What the account shall have; in a check what it is known to have. */
  staged: value,
  /** What the target is known to have had before; null: nobody knows, or it is a check. */
  known: value.nullable(),
  /** Who changes the account; null: the account itself. */
  admin: login.nullable(),
  /** base64url, 32 bytes: authenticates the result. */
  macKey: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  /** Names the vault key that the MAC key is derived from; the result repeats it. */
  macKeyId: z.string().regex(/^o[1-9]\d{0,8}$/),
})
export type SealedJob = z.infer<typeof SealedJob>

/** Why a job was not done, from the connector's own list: never the target's words. */
export const reasonClasses = [
  'not-allowed',
  'unreachable',
  'denied',
  'refused',
  'policy-refused',
  'unsupported',
  'weak-authentication',
  'host-key-mismatch',
  'certificate-mismatch',
  'late',
  'unverified',
  'verify-failed',
  'interrupted',
] as const
export type ReasonClass = (typeof reasonClasses)[number]

/** connector -> control plane. */
export const JobResult = z.strictObject({
  v,
  jobId: JobId,
  epoch,
  instance,
  outcome: z.enum(['confirmed', 'unchanged', 'unknown']),
  reasonClass: z.enum(reasonClasses).nullable(),
  stagedLogsIn: z.boolean().nullable(),
  knownLogsIn: z.boolean().nullable(),
  macKeyId: SealedJob.shape.macKeyId,
  /** base64url HMAC-SHA-256 of `resultText`. */
  mac: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
})
export type JobResult = z.infer<typeof JobResult>

/** `stale`: nobody waited for it; the connector forgets it all the same. `refused`: altered or not to be read. */
export const ResultAnswer = z.union([
  z.strictObject({ v, ack: z.literal(true), stale: z.boolean() }),
  z.strictObject({ v, refused: z.enum(['mac', 'malformed', 'unavailable']) }),
])
export type ResultAnswer = z.infer<typeof ResultAnswer>

/** What the MAC of a result covers: every field that decides, and whose result it is. */
export function resultText(connectorId: string, result: Omit<JobResult, 'mac'>): string {
  const { jobId, epoch: at, instance: by, outcome, reasonClass, stagedLogsIn, knownLogsIn, macKeyId } = result
  return JSON.stringify(['leasehold/job-result/v1', connectorId, jobId, at, by, outcome, reasonClass, stagedLogsIn, knownLogsIn, macKeyId])
}

/** Answer of a finished join, and what the connector keeps of it. */
export const JoinAnswer = z.object({
  connectorId: ConnectorId,
  organizationId: OrganizationId,
  natsUrl: z.url(),
  userJwt: z.string().min(1).max(10_000),
  /** Public keys that sign offers (RFC 7517). */
  signingKeys: z.object({ keys: z.array(z.looseObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), kid: z.string() })).min(1) }),
})
export type JoinAnswer = z.infer<typeof JoinAnswer>
