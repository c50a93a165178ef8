import type { ErrorCode } from '../errors.ts'

/** What is left of a decision with obligations. */
export interface OpenUse {
  /** Whose key it was given to. */
  readonly binding: string
  /** Null: as many as come before it ends. */
  readonly maxUses: number | null
  readonly uses: number
  readonly expiresAt: Date
  /** Policies that it was decided by; null: the baseline. */
  readonly policyVersion: number | null
}

export interface AskedUse {
  readonly binding: string
  /** What the decision of this request would allow: of the two the stricter holds. */
  readonly maxUses: number | null
  readonly policyVersion: number | null
  /** Every access token counts once (SECRETS_JTI_MODE=token): this one has. */
  readonly tokenUsed: boolean
  /** A decision was made for this login before, and its time is not over: a fresh token of the same login is no fresh login. */
  readonly loginDecided: boolean
}

export type UseVerdict =
  | { readonly kind: 'count' }
  /** The fresh decision of this request opens a new one. */
  | { readonly kind: 'renew' }
  | { readonly kind: 'refuse'; readonly code: Extract<ErrorCode, 'uses-exhausted' | 'token-used-before' | 'binding-changed'>; readonly until: Date }

/**
 * Whether one more use is allowed now (S3 "Grant lifecycle"). What has expired or is exhausted needs a fresh decision; a login gets
 * one of them while the time of the last one runs, so that whoever asks again and again does not count for ever.
 *
 * @param now on the clock of the server: at `expiresAt` it is over
 */
export function judgeUse(open: OpenUse | undefined, asked: AskedUse, now: Date): UseVerdict {
  if (open === undefined || open.expiresAt.getTime() <= now.getTime()) return { kind: 'renew' }
  if (open.policyVersion !== asked.policyVersion) return { kind: 'renew' }
  const refuse = (code: Extract<UseVerdict, { kind: 'refuse' }>['code']): UseVerdict => ({ kind: 'refuse', code, until: open.expiresAt })
  if (open.binding !== asked.binding) return refuse('binding-changed')
  if (asked.tokenUsed) return refuse('token-used-before')
  if (open.uses < Math.min(open.maxUses ?? Infinity, asked.maxUses ?? Infinity)) return { kind: 'count' }
  return asked.loginDecided ? refuse('uses-exhausted') : { kind: 'renew' }
}
