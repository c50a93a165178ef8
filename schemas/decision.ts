import type { AccountId, UserId } from './ids.ts'

/**
 * What a policy decision point (PDP) is asked: subject, action, resource and context, as the AuthZEN Authorization API 1.0 cuts
 * them. Ids and facts only: no name of a thing, no reason, no secret.
 */
export interface AccessQuestion {
  readonly subject: { readonly type: 'user'; readonly id: UserId; readonly properties: SubjectProperties }
  readonly action: { readonly name: string }
  readonly resource: AccessResource
  readonly context: AccessContext
}

export interface SubjectProperties {
  readonly owner: boolean
  readonly email: string | null
  readonly groupIds: readonly string[]
}

export const resourceTypes = ['account', 'organization', 'vault', 'identity'] as const

/** The most specific thing that an action is done to, and what it lies in, from the inside to the account. */
export interface AccessResource {
  readonly type: (typeof resourceTypes)[number]
  readonly id: string
  readonly parents: readonly { readonly type: (typeof resourceTypes)[number]; readonly id: string }[]
}

export interface AccessContext {
  /** What the value or the right is used for: the verb of the action. */
  readonly purpose: string
  readonly now: Date
  /** How the caller logged in, and how many s ago, where the token says so. */
  readonly acr?: string | undefined
  readonly loginAgeSeconds?: number | undefined
  /** Whether the token is bound to a key that the caller has shown (DPoP or mTLS). */
  readonly senderConstrained: boolean
  readonly ip?: string | undefined
  /** Minutes that a checkout or an extension asks for. */
  readonly minutes?: number | undefined
}

/** One thing that a permit asks of the enforcement point: an annotation `@obligation_<type>("<value>")` of a permit that counted. */
export interface Obligation {
  readonly type: string
  readonly value: string
}

export interface AccessDecision {
  readonly permit: boolean
  /** Ids of the policies that it follows from; empty: none permits. */
  readonly policies: readonly string[]
  readonly obligations: readonly Obligation[]
}

/** Which policies of an account are in force; version null: the baseline. */
export interface PolicyRef {
  readonly accountId: AccountId
  readonly version: number | null
}

/** Whoever decides: the embedded one, or one behind an API. @throws whatever keeps it from deciding; that is a denial */
export interface DecisionPoint {
  decide(question: AccessQuestion, policies: PolicyRef): Promise<AccessDecision>
}
