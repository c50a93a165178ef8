import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import Provider, { type OidcContext } from 'oidc-provider'

/**
 * `node test/support/external-issuer.ts FILE`: an OIDC provider that is nobody's development provider, over TLS 1.3, for
 * clients that log in for themselves (RFC 6749, 4.4). FILE is an IssuerSettings as JSON.
 */
export interface IssuerSettings {
  readonly issuer: string
  readonly port: number
  readonly audience: string
  readonly cert: string
  readonly key: string
  /** JWK with which it signs. */
  readonly signingKey: object
  readonly clients: readonly { readonly id: string; readonly secret: string }[]
}

const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as IssuerSettings

const provider = new Provider(settings.issuer, {
  jwks: { keys: [settings.signingKey] },
  clients: settings.clients.map(({ id, secret }) => ({
    client_id: id,
    client_secret: secret,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    id_token_signed_response_alg: 'ES256',
  })),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 1), requireNonce: () => false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => settings.audience,
      getResourceServerInfo: () => ({
        scope: 'leasehold',
        audience: settings.audience,
        accessTokenTTL: 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  extraTokenClaims: (_context: OidcContext) => ({ acr: 'mfa', auth_time: Math.floor(Date.now() / 1_000) }),
})
createServer({ cert: settings.cert, key: settings.key, minVersion: 'TLSv1.3' }, provider.callback()).listen(settings.port, '127.0.0.1')
process.once('SIGTERM', () => process.exit(0))
