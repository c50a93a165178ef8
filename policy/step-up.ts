import type { StepUpRule } from '#schemas/step-up.ts'

/** How the caller logged in, as the access token says. */
export interface Login {
  readonly acr: string | undefined
  /** s since 1970. */
  readonly authTime: number | undefined
}

/** What the next login must be (RFC 9470 section 3). */
export interface LoginChallenge {
  readonly acrValues?: string
  readonly maxAgeSeconds?: number
}

/**
 * What is missing of a login; undefined: it is enough. Pure. What a token does not say it does not have.
 *
 * @param order names of authentication contexts, weakest first; a name that is not in it is weaker than all
 * @param now s since 1970
 */
export function missingLogin(rule: StepUpRule, login: Login, order: readonly string[], now: number): LoginChallenge | undefined {
  const rank = (acr: string | null | undefined): number => (acr == null ? -1 : order.indexOf(acr))
  const weak = rule.acr !== null && (rank(rule.acr) === -1 || rank(login.acr) < rank(rule.acr))
  const old = rule.maxAgeSeconds !== null && (login.authTime === undefined || now - login.authTime > rule.maxAgeSeconds)
  if (!weak && !old) return undefined
  return { ...(rule.acr === null ? {} : { acrValues: rule.acr }), ...(rule.maxAgeSeconds === null ? {} : { maxAgeSeconds: rule.maxAgeSeconds }) }
}
