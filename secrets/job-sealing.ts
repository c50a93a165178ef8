import { CompactEncrypt, importJWK } from 'jose'
import type { Secret } from '#schemas/secret.ts'

/** Public half of a connector's encryption key (RFC 8037). */
export interface EncryptionJwk {
  readonly kty: 'OKP'
  readonly crv: 'X25519'
  readonly x: string
  readonly kid: string
}

/**
 * Seals one job's secret so that only the connector that claimed it can read it: compact JWE (RFC 7516),
 * ECDH-ES+A256KW over X25519 with a fresh ephemeral key, A256GCM.
 *
 * @param header goes into the protected header, in clear but authenticated: ids only
 */
export async function sealForConnector(jwk: EncryptionJwk, text: Secret<string>, header: Readonly<Record<string, string | number>>): Promise<string> {
  const key = await importJWK({ ...jwk }, 'ECDH-ES+A256KW')
  return new CompactEncrypt(Buffer.from(text.expose())).setProtectedHeader({ ...header, alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: jwk.kid }).encrypt(key)
}
