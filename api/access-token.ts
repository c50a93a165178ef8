import { createRemoteJWKSet, customFetch, decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { LeaseholdError } from '#schemas/errors.ts'
import { isCanonicalJws } from './compact-jws.ts'
import { algorithms } from './problem.ts'

/** Whose key a token needs besides itself: a DPoP key (RFC 9449) or a client certificate (RFC 8705). */
export interface Binding {
  readonly method: 'jkt' | 'x5t#S256'
  /** base64url SHA-256 of the key (RFC 7638) or of the certificate. */
  readonly thumbprint: string
}

/** What a valid access token says (RFC 9068). */
export interface AccessToken {
  readonly iss: string
  readonly sub: string
  readonly jti: string
  readonly clientId: string
  /** How the user logged in, and when (unix seconds). */
  readonly acr: string | undefined
  readonly authTime: number | undefined
  /** The key that the token is bound to; undefined: a bearer token. */
  readonly binding: Binding | undefined
  readonly expiresAt: Date
  readonly issuedAt: Date
  /** Only when the issuer says that it has verified it. */
  readonly email: string | undefined
  readonly name: string | undefined
  /** The `groups` claim; undefined: the token says nothing of groups. */
  readonly groups: readonly string[] | undefined
  /** One of our own, made while the provider was down: good for break-glass only. */
  readonly emergency?: true
}

/** A login that is refused. When our issuer did sign the token, `claims` say whose it is, so that it goes on record. */
export class RefusedLoginError extends LeaseholdError {
  readonly claims: { readonly iss: string; readonly sub: string } | undefined

  constructor(
    claims: { iss?: unknown; sub?: unknown } | undefined,
    cause?: unknown,
    code: 'invalid-token' | 'invalid-dpop-proof' | 'use-dpop-nonce' = 'invalid-token',
  ) {
    super(code, {}, { cause })
    const { iss, sub } = claims ?? {}
    this.claims = typeof iss === 'string' && typeof sub === 'string' ? { iss, sub } : undefined
  }
}

/** Whose key a token is bound to, as one word. */
export const bindingName = ({ binding }: Pick<AccessToken, 'binding'>): string => (binding === undefined ? 'none' : `${binding.method}:${binding.thumbprint}`)

export interface TokenRules {
  readonly issuer: string
  readonly issuerUrl: string
  readonly audience: string
  /** How the issuer is reached: it decides whose certificates are believed. */
  readonly fetch?: typeof fetch | undefined
  /** Whether the embedded provider of a development stack is believed. */
  readonly developmentProvider: boolean
}

/** Longest life of an access token, seconds (`exp - iat`). */
const maximumLife = 900
const clockTolerance = 5
const longestToken = 16_384

/**
 * Checks access tokens by the RFC 9068 profile: exact issuer, audience, `typ` at+jwt, asymmetric algorithms, `exp - iat` at most 15 min.
 *
 * @returns a check that throws RefusedLoginError (`invalid-token`), or `dependency-unavailable` (role oidc) when the keys of the
 *   issuer are not known and cannot be fetched
 */
export function createTokenCheck(rules: TokenRules): (token: string) => Promise<AccessToken> {
  const keys = issuerKeys(rules)
  return async (token) => {
    if (!isCanonicalJws(token, longestToken)) throw new RefusedLoginError(undefined)
    const { payload } = await jwtVerify(token, keys, {
      issuer: rules.issuer,
      audience: rules.audience,
      typ: 'at+jwt',
      algorithms,
      clockTolerance,
      requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id'],
      maxTokenAge: maximumLife,
    }).catch((error: unknown) => {
      if (error instanceof LeaseholdError) throw error
      throw new RefusedLoginError(error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed ? error.payload : undefined, error)
    })
    return accessToken(payload)
  }
}

/** Who a token says that it is from, before anything of it is believed. */
export function claimedIssuer(token: string): string | undefined {
  try {
    return token.length > longestToken ? undefined : decodeJwt(token).iss
  } catch {
    return undefined
  }
}

function accessToken(payload: JWTPayload): AccessToken {
  const { iss, sub, jti, exp, iat, client_id: clientId, azp = clientId, acr, auth_time: authTime } = payload
  const ours =
    typeof iss === 'string' &&
    typeof sub === 'string' &&
    /^[\x21-\x7e]{1,255}$/.test(sub) &&
    typeof jti === 'string' &&
    typeof clientId === 'string' &&
    azp === clientId
  if (!ours || exp === undefined || iat === undefined || exp - iat > maximumLife) throw new RefusedLoginError(payload)
  return {
    iss,
    sub,
    jti,
    clientId,
    binding: bindingOf(payload),
    expiresAt: new Date(exp * 1_000),
    issuedAt: new Date(iat * 1_000),
    email: payload['email_verified'] === true ? plainAddress(payload['email']) : undefined,
    name: shortText(payload['name']),
    groups: groupsOf(payload['groups']),
    acr: typeof acr === 'string' ? acr : undefined,
    authTime: typeof authTime === 'number' ? authTime : undefined,
  }
}

const longestName = 254
const mostGroups = 1_000
const shortText = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length >= 1 && value.length <= longestName && value.isWellFormed() && !value.includes('\0') ? value : undefined

/** ASCII only: other letters may fold to the same lower case as somebody else's address. */
const plainAddress = (value: unknown): string | undefined => (typeof value === 'string' && /^[\x21-\x7e]{3,254}$/.test(value) ? value : undefined)

/** Names that are none are left out: whoever is in such a group is not in one of ours. */
function groupsOf(claim: unknown): readonly string[] | undefined {
  if (claim === undefined) return undefined
  if (!Array.isArray(claim) || claim.length > mostGroups) return []
  return [...new Set(claim.flatMap((name: unknown) => shortText(name) ?? []))].sort()
}

const methods = ['jkt', 'x5t#S256'] as const

/**
 * A binding that we cannot check must not pass as no binding, and of two it would be ours to guess. What else the issuer says
 * about the key is ignored (RFC 7800 section 3.1): Keycloak has a member of its own there.
 */
function bindingOf(payload: JWTPayload): Binding | undefined {
  const cnf: unknown = payload['cnf']
  if (cnf === undefined) return undefined
  const members = new Map(typeof cnf === 'object' && cnf !== null ? Object.entries(cnf) : [])
  const [method, second] = methods.filter((name) => members.has(name))
  const thumbprint: unknown = method === undefined ? undefined : members.get(method)
  if (method === undefined || second !== undefined || typeof thumbprint !== 'string') throw new RefusedLoginError(payload)
  return { method, thumbprint }
}

/** Keys of the issuer: found by discovery, cached, fetched once however many ask, and not again for 30 s because of unknown key ids. */
function issuerKeys(rules: TokenRules): JWTVerifyGetKey {
  let found: Promise<JWTVerifyGetKey> | undefined
  const discovered = (): Promise<JWTVerifyGetKey> => {
    found ??= discover(rules).catch((error: unknown) => {
      found = undefined
      throw error
    })
    return found
  }
  return async (header, token) => {
    const keys = await discovered()
    return keys(header, token)
  }
}

async function discover({ issuer, issuerUrl, fetch: reach = fetch, developmentProvider }: TokenRules): Promise<JWTVerifyGetKey> {
  const response = await fetchFromIssuer(reach, `${issuerUrl.replace(/\/$/, '')}/.well-known/openid-configuration`)
  const document = (await response.json().catch(() => undefined)) as { issuer?: unknown; jwks_uri?: unknown; leasehold_development?: unknown } | undefined
  if (document?.leasehold_development === true && !developmentProvider) throw unavailable()
  // The keys are fetched where the issuer is reached, whatever public name it gives itself.
  if (document?.issuer !== issuer || typeof document.jwks_uri !== 'string' || !document.jwks_uri.startsWith(issuer)) throw unavailable()
  const url = new URL(issuerUrl.replace(/\/$/, '') + document.jwks_uri.slice(issuer.replace(/\/$/, '').length))
  return createRemoteJWKSet(url, {
    cooldownDuration: 30_000,
    cacheMaxAge: 600_000,
    timeoutDuration: 1_500,
    [customFetch]: (to, init) => fetchFromIssuer(reach, to, init),
  })
}

async function fetchFromIssuer(reach: typeof fetch, url: string, init: RequestInit = {}): Promise<Response> {
  try {
    const response = await reach(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(1_500) })
    if (response.status === 200) return response
  } catch (error) {
    throw unavailable(error)
  }
  throw unavailable()
}

const unavailable = (cause?: unknown): LeaseholdError => new LeaseholdError('dependency-unavailable', { role: 'oidc', retryAfterSeconds: 2 }, { cause })
