import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose'
import { LeaseholdError } from '#schemas/errors.ts'
import { isCanonicalJws } from './compact-jws.ts'
import type { Nonces } from './dpop-nonce.ts'
import { algorithms } from './problem.ts'

export interface ProofRules {
  readonly nonces: Nonces
  /** Whether a proof without a nonce is refused. One with a nonce must have a recent one anyway. */
  readonly nonceRequired: boolean
  /** Remembers a proof by 32 bytes; false: it was used before. */
  readonly remember: (digest: Uint8Array) => Promise<boolean>
}

export interface ProofContext {
  readonly token: string
  /** Thumbprint that the token is bound to. */
  readonly jkt: string
  readonly method: string
  /** Our own public URL of the request without query; never made from what the caller's headers say. */
  readonly url: string
}

/** How old or early a proof may be, seconds. */
const window = { past: 60, future: 10 }
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/**
 * Checks one DPoP proof (RFC 9449 section 4.3): one header, one spelling, type, asymmetric algorithm, public key only,
 * signature, method, URL, nonce, time window, hash of the access token, and that its key is the one the token is bound to. A
 * proof that passes all that is used up.
 *
 * @throws LeaseholdError `invalid-dpop-proof`, `use-dpop-nonce`
 */
export async function checkProof(proof: string | null, context: ProofContext, rules: ProofRules): Promise<void> {
  // Two DPoP headers arrive joined by a comma and fail here.
  if (proof === null || !isCanonicalJws(proof, 8_192)) throw refused()
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms,
    requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'],
  }).catch((error: unknown) => {
    throw refused(error)
  })
  const { jwk } = protectedHeader
  if (jwk === undefined || privateMembers.some((member) => member in jwk)) throw refused()
  const { jti, htm, htu, iat, ath, nonce } = payload
  const age = Date.now() / 1_000 - (iat ?? 0)
  const holds =
    typeof jti === 'string' &&
    jti.length >= 1 &&
    jti.length <= 256 &&
    htm === context.method &&
    typeof htu === 'string' &&
    sameUrl(htu, context.url) &&
    age <= window.past &&
    age >= -window.future &&
    ath === createHash('sha256').update(context.token).digest('base64url') &&
    (await calculateJwkThumbprint(jwk)) === context.jkt
  if (!holds) throw refused()
  if (nonce === undefined ? rules.nonceRequired : !rules.nonces.accepts(nonce)) throw new LeaseholdError('use-dpop-nonce')
  if (!(await rules.remember(createHash('sha256').update(`${context.jkt}\0${jti}`).digest()))) throw refused()
}

/** Equal after the normalisation of RFC 3986 (scheme, host, default port), without query and fragment. */
function sameUrl(claimed: string, own: string): boolean {
  const url = URL.parse(claimed)
  const mine = new URL(own)
  return url !== null && url.username === '' && url.password === '' && url.origin === mine.origin && url.pathname === mine.pathname
}

const refused = (cause?: unknown): LeaseholdError => new LeaseholdError('invalid-dpop-proof', {}, { cause })
