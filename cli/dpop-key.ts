import { existsSync } from 'node:fs'
import { exportJWK, generateKeyPair, importJWK, type CryptoKey, type JWK } from 'jose'
import type { CryptoKeyPair } from 'oauth4webapi'
import { readJson, writePrivate } from '#stack/home.ts'

/**
 * Reads the key that tokens are bound to (RFC 9449), a private P-256 JWK, from a file, or makes the file (0600).
 *
 * @throws Error when the file holds something else
 */
export async function readDpopKey(file: string): Promise<CryptoKeyPair> {
  if (!existsSync(file)) {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    writePrivate(file, await exportJWK(privateKey))
  }
  const { kty, crv, x, y, d } = readJson<JWK>(file)
  if (kty !== 'EC' || crv !== 'P-256' || d === undefined) throw new Error('the DPoP key must be a private P-256 JWK')
  const [privateKey, publicKey] = await Promise.all(
    [
      { kty, crv, x, y, d },
      { kty, crv, x, y },
    ].map((jwk) => importJWK(jwk as JWK, 'ES256', { extractable: true }) as Promise<CryptoKey>),
  )
  return { privateKey: privateKey as CryptoKey, publicKey: publicKey as CryptoKey }
}
