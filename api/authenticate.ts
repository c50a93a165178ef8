import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, UserId } from '#schemas/ids.ts'
import { appendAudit } from '#store/audit.ts'
import { inAccount } from '#store/connection.ts'
import { rememberProof } from '#store/dpop-proof.ts'
import { admitByEmail } from '#store/link.ts'
import { findLogin } from '#store/principal.ts'
import { claimedIssuer, createTokenCheck, RefusedLoginError, type AccessToken } from './access-token.ts'
import { checkProof, type ProofRules } from './dpop.ts'
import { checkEmergencyToken, isEmergencyToken } from './emergency-token.ts'
import type { Limits } from './limits.ts'
import type { Parts } from './parts.ts'
import type { Trace } from './trace.ts'

/** Who is asking, as far as the token tells. */
export interface Caller {
  readonly accountId: AccountId
  readonly userId: UserId
  readonly token: AccessToken
  /** With the id of the decision about this request. */
  readonly actor: Actor & { readonly decisionId: string }
}

export type Login = Pick<Caller, 'accountId' | 'userId'>

interface Presented {
  readonly scheme: string
  readonly token: string
  readonly claims: AccessToken
  readonly request: Request
  readonly certificate: PeerCertificate
}
const rememberedLogins = 10_000

/** Thumbprint of the certificate that the caller showed in the TLS handshake (RFC 8705); never what a header says. */
export type PeerCertificate = () => string | undefined

export type Authenticate = (request: Request, trace: Trace, certificate: PeerCertificate) => Promise<Caller>

/**
 * Finds the caller by the access token in `Authorization`: `DPoP` with a proof when the token is bound to a key, else `Bearer`,
 * with the certificate of the connection when the token is bound to one. A token that is bound to nothing is enough only where
 * that is configured.
 * A refusal of a known person's token is written to the log of that account.
 *
 * @throws LeaseholdError `invalid-request`, `invalid-token`, `invalid-dpop-proof`, `use-dpop-nonce`, `forbidden` (nobody of ours), `rate-limited` (too many of these), `dependency-unavailable`
 */
export function createAuthenticate(parts: Parts, limits: Limits): Authenticate {
  const { config, db } = parts
  const logins = new Map<string, Login>()
  const check = tokenCheckOf(parts)

  const proofRules: ProofRules = { nonces: parts.nonces, nonceRequired: config.dpopNonceRequired, remember: (digest) => rememberProof(db, digest) }

  return async function authenticate(request, trace, certificate) {
    let claims: AccessToken
    try {
      const { scheme, token } = credentialsOf(request.headers.get('authorization'))
      claims = isEmergencyToken(token) ? await checkEmergency(token) : await check(token)
      if (claims.emergency !== true) await checkBinding({ scheme, token, claims, request, certificate })
    } catch (error) {
      // Asking for a nonce is no failure.
      if (error instanceof RefusedLoginError && error.code !== 'use-dpop-nonce') limits.failure(trace.ip, error.claims)
      await recordFailure(error, trace)
      throw error
    }
    const login = (await loginOf(claims)) ?? (await admitByEmail(db, claims, trace))
    if (login === undefined) {
      limits.failure(trace.ip, claims)
      throw new LeaseholdError('forbidden')
    }
    return { ...login, token: claims, actor: { ...actorOf(login.userId, claims, trace), decisionId: uuidv7() } }
  }

  /** Whose login it is never changes, so it is remembered; whether that user may still come in is read in every request's transaction. */
  async function loginOf({ iss, sub }: { readonly iss: string; readonly sub: string }): Promise<Login | undefined> {
    const name = `${iss}\n${sub}`
    const known = logins.get(name)
    if (known !== undefined) return known
    const login = await findLogin(db, iss, sub)
    if (login !== undefined) logins.set(name, login)
    const oldest = logins.keys().next().value
    if (logins.size > rememberedLogins && oldest !== undefined) logins.delete(oldest)
    return login
  }

  function checkEmergency(token: string): Promise<AccessToken> {
    return checkEmergencyToken(parts.emergencyTokenKey, config, token).catch((cause: unknown) => {
      throw new RefusedLoginError(undefined, cause)
    })
  }

  async function checkBinding({ scheme, token, claims, request, certificate }: Presented): Promise<void> {
    const { binding } = claims
    if ((scheme === 'dpop') !== (binding?.method === 'jkt')) throw new RefusedLoginError(claims)
    if (binding === undefined) {
      if (!config.audienceFallback) throw new RefusedLoginError(claims)
    } else if (binding.method === 'x5t#S256') {
      if (certificate() !== binding.thumbprint) throw new RefusedLoginError(claims)
    } else {
      const url = config.apiUrl.replace(/\/$/, '') + new URL(request.url).pathname
      const context = { token, jkt: binding.thumbprint, method: request.method, url }
      await checkProof(request.headers.get('dpop'), context, proofRules).catch((cause: unknown) => {
        if (!(cause instanceof LeaseholdError) || (cause.code !== 'invalid-dpop-proof' && cause.code !== 'use-dpop-nonce')) throw cause
        throw new RefusedLoginError(claims, cause, cause.code)
      })
    }
  }

  async function recordFailure(error: unknown, trace: Trace): Promise<void> {
    if (!(error instanceof RefusedLoginError) || error.claims === undefined) return
    const { code, claims } = error
    const login = await loginOf(claims)
    if (login === undefined) return
    const actor = actorOf(login.userId, claims, trace)
    await inAccount(db, login.accountId, (trx) => appendAudit(trx, { actor, action: 'authentication.refused', effect: 'deny', outcome: code }))
  }
}

/** Each issuer answers for its own people. What that of support staff says of addresses and groups counts for nothing here. */
function tokenCheckOf({ config, fetch }: Parts): (token: string) => Promise<AccessToken> {
  const rules = { audience: config.apiAudience, fetch, developmentProvider: config.mode === 'dev' }
  const check = createTokenCheck({ ...rules, issuer: config.oidcIssuer, issuerUrl: config.oidcUrl })
  const { supportIssuer, supportIssuerUrl } = config
  if (supportIssuer === undefined || supportIssuerUrl === undefined || supportIssuer === config.oidcIssuer) return check
  const checkSupport = createTokenCheck({ ...rules, issuer: supportIssuer, issuerUrl: supportIssuerUrl })
  return async (token) => (claimedIssuer(token) === supportIssuer ? { ...(await checkSupport(token)), email: undefined, groups: undefined } : check(token))
}

const actorOf = (id: UserId, { iss, sub }: { readonly iss: string; readonly sub: string }, trace: Trace): Actor => ({ kind: 'user', id, iss, sub, ...trace })

function credentialsOf(header: string | null): { scheme: string; token: string } {
  // Both schemes at once (RFC 9449 section 7.2): which one counts is not ours to guess.
  if (/\bBearer .*\bDPoP |\bDPoP .*\bBearer /i.test(header ?? '')) throw new LeaseholdError('invalid-request')
  const [, scheme, token] = /^(Bearer|DPoP) +(\S+)$/i.exec(header ?? '') ?? []
  if (scheme === undefined || token === undefined) throw new RefusedLoginError(undefined)
  return { scheme: scheme.toLowerCase(), token }
}
