import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose'
import { LeaseholdError } from '#schemas/errors.ts'
import { algorithms } from './problem.ts'

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

/**
 * Checks one DPoP proof (RFC 9449 section 4.3): one header, type, asymmetric algorithm, public key only, signature, method,
 * URL, time window, hash of the access token, and that its key is the one the token is bound to. Replays inside the
 * window are not remembered.
 *
 * @throws LeaseholdError `invalid-dpop-proof`
 */
export async function checkProof(proof: string | null, context: ProofContext): Promise<void> {
  // Two DPoP headers arrive joined by a comma and fail here.
  if (proof === null || proof.length > 8_192 || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(proof)) throw refused()
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms,
    requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'],
  }).catch((error: unknown) => {
    throw refused(error)
  })
  const { jwk } = protectedHeader
  if (jwk === undefined || 'd' in jwk || 'k' in jwk) throw refused()
  const { jti, htm, htu, iat, ath } = payload
  const age = Date.now() / 1_000 - (iat ?? 0)
  const holds =
    typeof jti === 'string' &&
    jti.length <= 256 &&
    htm === context.method &&
    typeof htu === 'string' &&
    sameUrl(htu, context.url) &&
    age <= window.past &&
    age >= -window.future &&
    ath === createHash('sha256').update(context.token).digest('base64url') &&
    (await calculateJwkThumbprint(jwk)) === context.jkt
  if (!holds) throw refused()
}

/** Equal after the normalisation of RFC 3986 (scheme, host, default port), without query and fragment. */
function sameUrl(claimed: string, own: string): boolean {
  const url = URL.parse(claimed)
  const mine = new URL(own)
  return url !== null && url.username === '' && url.password === '' && url.origin === mine.origin && url.pathname === mine.pathname
}

const refused = (cause?: unknown): LeaseholdError => new LeaseholdError('invalid-dpop-proof', {}, { cause })
