import { errors, interactionPolicy, type Configuration, type OidcContext } from 'oidc-provider'
import { cliClient } from '#cli/client.ts'
import type { Home } from './home.ts'
import type { IssuerFile } from './oidc-program.ts'
import { readUser } from './oidc-users.ts'

export const apiAudience = 'https://leasehold.local/api'

/** Weakest first. */
const strengths = ['pwd', 'mfa']

/** Seconds. Access tokens live at most 15 minutes. */
const lifetimes = { AccessToken: 900, AuthorizationCode: 60, Session: 3_600, Grant: 3_600, Interaction: 600, IdToken: 900 }

export function issuerConfiguration(home: Home, { signingKey, cookieKey, dpopNonceKey }: IssuerFile): Configuration {
  return {
    // Production asks for this and refuses a provider that says it, whatever stands in front of it.
    discovery: { leasehold_development: true },
    jwks: { keys: [signingKey] },
    clients: [
      {
        client_id: cliClient,
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    findAccount: (_context: OidcContext, id: string) => {
      const user = readUser(home, id)
      return user && { accountId: id, claims: () => ({ sub: id, email: user.email, email_verified: user.email_verified, name: user.name }) }
    },
    claims: { openid: ['sub', 'acr', 'auth_time', 'amr'], email: ['email', 'email_verified'], profile: ['name'] },
    scopes: ['openid'],
    acrValues: strengths,
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: true, nonceSecret: Buffer.from(dpopNonceKey, 'base64url'), requireNonce: () => false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => apiAudience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_context: OidcContext, resource: string) => {
          if (resource !== apiAudience) throw new errors.InvalidTarget()
          return { scope: 'leasehold', audience: apiAudience, accessTokenTTL: lifetimes.AccessToken, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
        },
      },
    },
    extraTokenClaims: (context: OidcContext, token: { readonly kind: string; readonly accountId: string }) => {
      const { acr, amr, authTime } = context.oidc.entities.AuthorizationCode ?? {}
      const user = token.kind === 'AccessToken' ? readUser(home, token.accountId) : undefined
      return user && { acr, amr, auth_time: authTime, email: user.email, email_verified: user.email_verified, name: user.name }
    },
    loadExistingGrant: grantEverything,
    interactions: { policy: loginOnly(), url: (_context: OidcContext, { uid }: { readonly uid: string }) => `/interaction/${uid}` },
    cookies: { keys: [cookieKey] },
    pkce: { required: () => true },
    ttl: lifetimes,
  }
}

/** No consent page: the only client is our own. A stronger `acr_values` than the session has asks for a new login. */
function loginOnly() {
  const policy = interactionPolicy.base()
  const { Check } = interactionPolicy
  policy.get('login')?.checks.add(
    new Check('step_up', 'a stronger login is asked for', 'login_required', ({ oidc }) => {
      const wanted = String(oidc.params?.['acr_values'] ?? '')
        .split(' ')
        .map((value) => strengths.indexOf(value))
        .filter((rank) => rank !== -1)
      // A stronger login than was asked for is enough.
      const enough = wanted.length === 0 || strengths.indexOf(oidc.session?.acr ?? '') >= Math.min(...wanted)
      return enough ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT
    }),
  )
  policy.remove('consent')
  return policy
}

async function grantEverything({ oidc }: OidcContext) {
  const grant = new oidc.provider.Grant({ clientId: oidc.client?.clientId ?? '', accountId: oidc.session?.accountId ?? '' })
  grant.addOIDCScope('openid email profile')
  grant.addResourceScope(apiAudience, 'leasehold')
  await grant.save()
  return grant
}
