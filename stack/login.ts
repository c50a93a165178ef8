import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import * as oauth from 'oauth4webapi'
import { cliClient, cliScope } from '#cli/client.ts'
import { readHome, readJson } from './home.ts'
import type { IssuerFile } from './oidc-program.ts'
import { oneTimeCode, readUser, type OidcUser } from './oidc-users.ts'

export interface LoginOptions {
  /** Folder of the stack. */
  readonly home: string
  readonly user: string
  /** mfa adds the one-time code. */
  readonly acr?: 'pwd' | 'mfa'
  /** Binds the token to this key (RFC 9449). */
  readonly dpopKey?: oauth.CryptoKeyPair
}

const redirectUri = 'http://127.0.0.1:9/callback'
const furthest = 10

/**
 * Logs a person of the embedded provider in, as a browser and a command-line client would together: authorization code with
 * PKCE (RFC 7636), password, one-time code when `mfa` is asked for.
 *
 * @returns an access token (RFC 9068)
 * @throws Error when the person is unknown or the provider refuses
 */
export async function accessToken({ home: folder, user: sub, acr = 'pwd', dpopKey }: LoginOptions): Promise<string> {
  const home = readHome(folder)
  if (home === undefined || !existsSync(home.file('oidc', 'issuer.json'))) throw new Error('no stack was started in this home')
  const { issuer } = readJson<IssuerFile>(home.file('oidc', 'issuer.json'))
  const user = readUser(home, sub)
  if (user === undefined) throw new Error(`there is no user ${sub}`)
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(16).toString('base64url')
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const query = new URLSearchParams({
    client_id: cliClient,
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: cliScope,
    acr_values: acr,
    state,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  const back = await walk(new URL(`/auth?${query}`, issuer), user, acr)
  return exchange({ issuer, back, state, verifier, dpopKey })
}

/** Follows the redirects of one login with a cookie jar, filling the form on the way. */
async function walk(start: URL, user: OidcUser, acr: 'pwd' | 'mfa'): Promise<URL> {
  const jar = new Map<string, string>()
  let next = start
  for (let hop = 0; hop < furthest; hop += 1) {
    const form = { username: user.sub, password: user.password, ...(acr === 'mfa' ? { totp: oneTimeCode(user) } : {}) }
    const post = next.pathname.startsWith('/interaction/') ? { method: 'POST', body: new URLSearchParams(form) } : {}
    const response = await fetch(next, { ...post, redirect: 'manual', headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') } })
    await response.body?.cancel()
    for (const cookie of response.headers.getSetCookie()) {
      const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split(/=(.*)/)
      jar.set(name, value)
    }
    const location = response.headers.get('location')
    if (location === null) throw new Error(`the provider answered ${response.status} instead of a redirect`)
    next = new URL(location, next)
    if (next.href.startsWith(redirectUri)) return next
  }
  throw new Error('the provider redirects without end')
}

interface Exchange {
  readonly issuer: string
  readonly back: URL
  readonly state: string
  readonly verifier: string
  readonly dpopKey: oauth.CryptoKeyPair | undefined
}

async function exchange({ issuer, back, state, verifier, dpopKey }: Exchange): Promise<string> {
  const server: oauth.AuthorizationServer = { issuer, token_endpoint: `${issuer}/token`, authorization_response_iss_parameter_supported: true }
  const client: oauth.Client = { client_id: cliClient }
  const parameters = oauth.validateAuthResponse(server, client, back, state)
  const response = await oauth.authorizationCodeGrantRequest(server, client, oauth.None(), parameters, redirectUri, verifier, {
    [oauth.allowInsecureRequests]: issuer.startsWith('http://127.0.0.1:'),
    ...(dpopKey === undefined ? {} : { DPoP: oauth.DPoP(client, dpopKey) }),
  })
  const { access_token: token, error } = (await response.json()) as { access_token?: string; error?: string }
  if (token === undefined) throw new Error(`the provider refused the code: ${error ?? response.status}`)
  return token
}
