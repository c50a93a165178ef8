import type { KeyObject } from 'node:crypto'
import type { Logger } from 'pino'
import type { DecisionPoint } from '#schemas/decision.ts'
import type { ApiMeter } from '#schemas/meters.ts'
import type { OrganizationSecrets } from '#secrets/organization-secret.ts'
import type { Passphrases } from '#secrets/passphrase.ts'
import type { Transit } from '#secrets/transit.ts'
import type { VaultKeys } from '#secrets/vault-keys.ts'
import type { Permission } from '#schemas/principal.ts'
import type { StepUpRules } from '#schemas/step-up.ts'
import type { AccountId } from '#schemas/ids.ts'
import type { AccountKeys } from '#secrets/account-key.ts'
import type { Db } from '#store/connection.ts'
import type { Claim, DeliveryTarget, Outcome } from '#store/notice-delivery.ts'
import type { Nonces } from './dpop-nonce.ts'
import type { AnyRouteSpec } from './openapi.ts'
import type { Reply } from './route.ts'

/** Settings of the API, as server/config.ts reads them. */
export interface ApiSettings {
  readonly mode: 'dev' | 'production'
  /** Exact `iss` of access tokens. */
  readonly oidcIssuer: string
  /** Where the issuer is reached. */
  readonly oidcUrl: string
  /** Exact `iss` of the tokens of support staff; undefined: they come from `oidcIssuer` too. */
  readonly supportIssuer: string | undefined
  /** Where it is reached. */
  readonly supportIssuerUrl: string | undefined
  /** What support staff may do while an account lets them in. */
  readonly supportPermissions: readonly Permission[]
  /** `aud` of access tokens. */
  readonly apiAudience: string
  /** Public base URL without trailing slash, the base of `htu` in DPoP proofs. */
  readonly apiUrl: string
  /** Tokens that are bound to no key are enough (their audience is all that is checked). */
  readonly audienceFallback: boolean
  /** DPoP proofs must have a nonce of ours (RFC 9449 section 8). */
  readonly dpopNonceRequired: boolean
  /** Names of authentication contexts (`acr`), weakest first. */
  readonly acrOrder: readonly string[]
  /** Which logins are asked for where an organization does not say otherwise. */
  readonly stepUp: StepUpRules
  /** Access tokens that are bound to no key count once each where a policy counts uses (SECRETS_JTI_MODE). */
  readonly tokensCountOnce: boolean
  /** Where connectors find NATS. */
  readonly natsUrl: string
  /** Standard checkouts stop when the relay has heard nothing from Temporal for so long. */
  readonly temporalSilenceMinutes: number
  readonly rates: {
    /** Requests of one caller: in the long run, and at once after a rest. */
    readonly perSecond: number
    readonly burst: number
    /** Failed authentications of one address and user. */
    readonly failuresPerMinute: number
  }
  /** Origins (RFC 6454) whose scripts may read answers; none by default. */
  readonly corsOrigins: readonly string[]
  /** Domain that security keys are bound to (W3C WebAuthn 3, RP ID); undefined: that of `apiUrl`. */
  readonly webauthnRpId: string | undefined
}

/** What the routes work with; made by the role, one per process. */
export interface Parts {
  readonly config: ApiSettings
  readonly log: Logger
  /** Who decides what permissions and grants leave open. */
  readonly decisionPoint: DecisionPoint
  /** How the issuer is reached; absent: the fetch of Node. */
  readonly fetch?: typeof fetch
  /** Pool of leasehold_api. */
  readonly db: Db
  /** Key of the hashes that tell whether two requests are the same one; the same in every process. */
  readonly requestHashKey: KeyObject
  /** Key of the seals on cursors; the same in every process. */
  readonly cursorKey: KeyObject
  /** Key of the links in notifications that decide on access requests; the same in every process. */
  readonly decisionLinkKey: KeyObject
  readonly nonces: Nonces
  /** Hashes of the credentials that people enrol for emergencies. */
  readonly passphrases: Passphrases
  /** Key of the tokens for break-glass without the provider; the same in every process. */
  readonly emergencyTokenKey: KeyObject
  readonly vaultKeys: VaultKeys
  readonly organizationSecrets: OrganizationSecrets
  readonly accountKeys: AccountKeys
  /** How people are told things besides the answers of the API. */
  readonly notices: {
    /** Tries the messages of notices that were just committed, behind the back of the caller. */
    readonly announce: (accountId: AccountId, noticeIds: readonly string[]) => void
    /** Sends one message once; never throws. */
    readonly send: (accountId: AccountId, notice: Claim['notice'], target: DeliveryTarget) => Promise<Outcome>
  }
  /** Public keys that sign offers to connectors. */
  readonly signingKeys: () => ReturnType<Transit['jwks']>
  /** Tells the loops that something is owed; called after a commit, sent once for many calls. */
  readonly wakeLoops: () => void
  /** Sees every answer beside the route that promised it; tests hold the two against each other. */
  readonly observe?: (route: AnyRouteSpec, answer: Reply) => void
  readonly meter?: ApiMeter
  /** Aborted when the process stops: streams end. */
  readonly stopping: AbortSignal
  /** State of each server that the API needs, for /readyz; each answers within 2 s. */
  readonly checks: Readonly<Record<string, () => Promise<boolean>>>
}
