import { createHash, randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'
import { accessToken } from '#stack/login.ts'

/** Headers that say who asks. */
export interface AccessHeaders {
  readonly authorization: string
  readonly dpop?: string
}

/** A person with real access tokens of the stack's provider: a bearer token, and one that is bound to a key (RFC 9449). */
export interface Person {
  readonly userId: string
  readonly bearer: AccessHeaders
  /** @param url the request's URL without query; a proof serves one request */
  proven(url: string): Promise<AccessHeaders>
}

export async function logIn(home: string, user: { readonly id: string; readonly sub: string }): Promise<Person> {
  const key = await generateKeyPair('ES256', { extractable: true })
  const { kty, crv, x, y } = await exportJWK(key.publicKey)
  const [bearer, bound] = await Promise.all([
    accessToken({ home, user: user.sub }),
    accessToken({ home, user: user.sub, dpopKey: key as { privateKey: CryptoKey; publicKey: CryptoKey } }),
  ])
  return {
    userId: user.id,
    bearer: { authorization: `Bearer ${bearer}` },
    proven: async (url) => ({ authorization: `DPoP ${bound}`, dpop: await prove(key.privateKey, { kty, crv, x, y } as JWK, bound, url) }),
  }
}

function prove(key: CryptoKey, jwk: JWK, token: string, htu: string): Promise<string> {
  const ath = createHash('sha256').update(token).digest('base64url')
  return new SignJWT({ htm: 'POST', htu, jti: randomUUID(), ath }).setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk }).setIssuedAt().sign(key)
}
