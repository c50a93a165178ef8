import { errors, LeaseholdError, type ErrorCode } from '#schemas/errors.ts'
import type { Trace } from './trace.ts'

export interface Problem {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
}

/**
 * The answer to an error: RFC 9457 problem details from the table of errors, plus `code`, `hint`, `traceId`, `correlationId`
 * and the facts that help. Everything that is not a LeaseholdError is `internal` without detail.
 */
export function problemOf(error: unknown, trace: Trace): Problem {
  const known = error instanceof LeaseholdError ? error : new LeaseholdError('internal')
  const { code } = known
  const row = errors[code]
  const { detail, retryAfterSeconds, allow, ...facts } = known.facts
  return {
    status: row.status,
    headers: {
      'content-type': 'application/problem+json',
      ...retryAfter(row.status, retryAfterSeconds),
      ...(row.status === 405 ? { allow: (allow ?? []).join(', ') } : {}),
      ...(row.status === 401 ? { 'www-authenticate': challenge(known) } : {}),
    },
    body: {
      type: `urn:leasehold:problem:${code}`,
      title: row.title,
      status: row.status,
      detail: detail ?? row.title,
      code,
      hint: row.hint,
      ...facts,
      traceId: trace.traceId,
      correlationId: trace.correlationId,
    },
  }
}

function retryAfter(status: number, seconds: number | undefined): Record<string, string> {
  if (seconds !== undefined) return { 'retry-after': String(Math.max(1, Math.ceil(seconds))) }
  return status === 503 || status === 429 ? { 'retry-after': '1' } : {}
}

/** Algorithms of access tokens and proofs: asymmetric ones only. */
export const algorithms = ['ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'EdDSA', 'Ed25519']

/** RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470 section 3. */
function challenge({ code, facts }: LeaseholdError): string {
  const algs = `algs="${algorithms.join(' ')}"`
  const challenges: Partial<Record<ErrorCode, string>> = {
    'use-dpop-nonce': `DPoP error="use_dpop_nonce", ${algs}`,
    'invalid-dpop-proof': `DPoP error="invalid_dpop_proof", ${algs}`,
    'insufficient-user-authentication': `Bearer ${stepUp(facts)}, DPoP ${stepUp(facts)}, ${algs}`,
    'invalid-join-token': 'Join',
  }
  return challenges[code] ?? `Bearer error="invalid_token", DPoP error="invalid_token", ${algs}`
}

function stepUp({ acrValues, maxAgeSeconds }: LeaseholdError['facts']): string {
  return [
    'error="insufficient_user_authentication"',
    ...(acrValues === undefined ? [] : [`acr_values="${acrValues}"`]),
    ...(maxAgeSeconds === undefined ? [] : [`max_age="${maxAgeSeconds}"`]),
  ].join(', ')
}
