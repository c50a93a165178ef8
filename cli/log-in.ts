import { calculateJwkThumbprint, exportJWK } from 'jose'
import * as oauth from 'oauth4webapi'
import { cliScope } from './client.ts'
import { listenForAnswer } from './loopback.ts'

export interface LoginRequest {
  /** The exact `iss`. */
  readonly issuer: string
  readonly clientId: string
  /** How strong the login must be. */
  readonly acr?: string | undefined
  /** How long ago it may be, seconds. */
  readonly maxAge?: number | undefined
  /** The token is bound to it (RFC 9449). */
  readonly dpopKey: oauth.CryptoKeyPair
  /** Brings a person to this URL. */
  readonly show: (url: string) => void
}

export interface Login {
  readonly accessToken: string
  readonly idToken: string
  readonly expiresAt: Date | undefined
  readonly claims: oauth.IDToken
}

/** As long as issuers usually keep a login page. */
const patience = 10 * 60_000
const requestLimit = 10_000

const onThisMachine = (url: string): boolean => /^http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(:|\/|$)/.test(url)

/** Plain HTTP never leaves this machine. */
export const transport = (url: string) => ({ [oauth.allowInsecureRequests]: onThisMachine(url) })

/**
 * Logs a person in with a browser: authorization code with PKCE on a loopback redirect (RFC 8252, RFC 7636), bound to a key from
 * the request on (RFC 9449 section 10). `state`, `iss` (RFC 9207) and the nonce and age in the ID token are checked; how strong
 * the login was is for the API to judge.
 *
 * @throws Error when the issuer refuses, answers what was not asked for, or nobody logs in within 10 minutes
 */
export async function logIn({ issuer, clientId, acr, maxAge, dpopKey, show }: LoginRequest): Promise<Login> {
  const client: oauth.Client = { client_id: clientId }
  const reach = { ...transport(issuer), signal: () => AbortSignal.timeout(requestLimit) }
  const server = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), reach))
  const page = server.authorization_endpoint ?? ''
  // What is opened is a page, whatever the issuer says.
  if (!page.startsWith('https://') && !onThisMachine(page)) throw new Error('the issuer has no page to log in at')
  const [state, nonce, verifier] = [oauth.generateRandomState(), oauth.generateRandomNonce(), oauth.generateRandomCodeVerifier()]
  const loopback = await listenForAnswer(state, patience)
  try {
    const url = new URL(page)
    const parameters = {
      client_id: clientId,
      response_type: 'code',
      redirect_uri: loopback.redirectUri,
      scope: cliScope,
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      dpop_jkt: await calculateJwkThumbprint(await exportJWK(dpopKey.publicKey)),
      ...(acr === undefined ? {} : { acr_values: acr }),
      ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
    }
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    show(url.href)
    const code = oauth.validateAuthResponse(server, client, await loopback.answer, state)
    const DPoP = oauth.DPoP(client, dpopKey)
    const exchange = async () => {
      const response = await oauth.authorizationCodeGrantRequest(server, client, oauth.None(), code, loopback.redirectUri, verifier, { ...reach, DPoP })
      const expected = { expectedNonce: nonce, requireIdToken: true, ...(maxAge === undefined ? {} : { maxAge }) }
      return oauth.processAuthorizationCodeResponse(server, client, response, expected)
    }
    const tokens = await exchange().catch((error: unknown) => {
      if (oauth.isDPoPNonceError(error)) return exchange()
      throw error
    })
    return loginOf(tokens)
  } finally {
    loopback.close()
  }
}

function loginOf(tokens: oauth.TokenEndpointResponse): Login {
  const claims = oauth.getValidatedIdTokenClaims(tokens)
  if (claims === undefined || tokens.id_token === undefined) throw new Error('the issuer does not say who logged in')
  if (tokens.token_type !== 'dpop') throw new Error('the issuer gave a token that is bound to no key')
  return {
    accessToken: tokens.access_token,
    idToken: tokens.id_token,
    expiresAt: tokens.expires_in === undefined ? undefined : new Date(Date.now() + tokens.expires_in * 1_000),
    claims,
  }
}
