import { createHash, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose'

export const audience = 'https://leasehold.local/api'

export interface TestIssuer {
  readonly url: string
  /** How often its keys were fetched. */
  fetches(): number
  /** A token of `sub`; `claims` and `header` replace what a good one has, undefined removes it. */
  token(sub: string, claims?: JWTPayload, header?: Record<string, unknown>): Promise<string>
  /** A good token of `sub` by somebody else's key. */
  forged(sub: string): Promise<string>
  stop(): Promise<void>
}

/**
 * An OpenID provider as far as a resource server sees one: discovery and keys.
 *
 * @param metadata more of what its discovery document says
 */
export async function startIssuer(metadata: object = {}): Promise<TestIssuer> {
  const [own, foreign] = await Promise.all([generateKeyPair('ES256'), generateKeyPair('ES256')])
  const keys = [{ ...(await exportJWK(own.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }]
  let fetches = 0
  const server = createServer((request, response) => {
    const discovery = request.url === '/.well-known/openid-configuration'
    if (!discovery) fetches += 1
    response.setHeader('content-type', 'application/json').end(JSON.stringify(discovery ? { issuer: url, jwks_uri: `${url}/jwks`, ...metadata } : { keys }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function sign(key: CryptoKey, sub: string, claims: JWTPayload = {}, header: Record<string, unknown> = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1_000)
    const payload = { iss: url, sub, aud: audience, client_id: 'test', jti: randomUUID(), iat: now, exp: now + 300, acr: 'mfa', auth_time: now, ...claims }
    return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'k1', ...header }).sign(key)
  }
  return {
    url,
    fetches: () => fetches,
    token: (sub, claims, header) => sign(own.privateKey, sub, claims, header),
    forged: (sub) => sign(foreign.privateKey, sub),
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface ProofKey {
  readonly jkt: string
  readonly pair: CryptoKeyPair
  /** A proof for one request; `claims` and `header` replace what a good one has. */
  proof(token: string, method: string, url: string, claims?: JWTPayload, header?: Record<string, unknown>): Promise<string>
  /** A good proof whose header has the private key too. */
  revealing(token: string, method: string, url: string): Promise<string>
}

/** A key that tokens are bound to (RFC 9449). */
export async function createProofKey(): Promise<ProofKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(publicKey)
  const proof: ProofKey['proof'] = (token, method, url, claims = {}, header = {}) =>
    new SignJWT({
      htm: method,
      htu: url,
      jti: randomUUID(),
      iat: Math.floor(Date.now() / 1_000),
      ath: createHash('sha256').update(token).digest('base64url'),
      ...claims,
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header })
      .sign(privateKey)
  return {
    pair: { privateKey, publicKey },
    jkt: await calculateJwkThumbprint(jwk),
    proof,
    revealing: async (token, method, url) => proof(token, method, url, {}, { jwk: await exportJWK(privateKey) }),
  }
}
