import { createHash } from 'node:crypto'
import type { Transit } from '#secrets/transit.ts'
import { encodePublicKey, type NkeyKind } from './nkey.ts'

/** A signing key of NATS whose private half is in OpenBao and stays there. */
export interface NatsKey {
  readonly publicKey: string
  readonly sign: (bytes: Uint8Array) => Promise<Uint8Array>
}

/** Names of the keys in the transit mount. */
export const natsKeyNames = {
  operator: 'nats-operator',
  system: 'nats-system',
  organization: (id: string) => `nats-org-${id}`,
  /** Signs the users of an organization's account; the account itself is signed by the operator. */
  organizationSigning: (id: string) => `nats-org-${id}-sk`,
} as const

/**
 * Finds the key, or makes it. Its first version for good: the public key is the identity that every server and user names,
 * so another version would be another operator or account.
 */
export async function natsKey(transit: Transit, name: string, kind: NkeyKind): Promise<NatsKey> {
  await transit.ensureSigningKey(name)
  const [key] = await transit.signingKeys(name)
  if (key === undefined) throw new Error(`the transit key ${name} has no version`)
  return { publicKey: encodePublicKey(kind, key.publicKey), sign: (bytes) => transit.sign(key, bytes) }
}

export interface NatsClaims {
  readonly name: string
  /** Public key that the claims are about. */
  readonly sub: string
  /** s since 1970; absent: no end. */
  readonly exp?: number
  readonly nats: { readonly type: 'operator' | 'account' | 'user' } & Readonly<Record<string, unknown>>
}

/**
 * A NATS JWT, version 2: compact form of RFC 7519 with the algorithm name `ed25519-nkey`.
 *
 * @param issuedAt s since 1970; a revocation covers what was issued until its own time
 */
export async function mintJwt(issuer: NatsKey, claims: NatsClaims, issuedAt = Math.floor(Date.now() / 1000)): Promise<string> {
  const body = { iss: issuer.publicKey, iat: issuedAt, ...claims, nats: { ...claims.nats, version: 2 } }
  const jti = createHash('sha256').update(JSON.stringify(body)).digest('base64url')
  const text = `${base64url({ typ: 'JWT', alg: 'ed25519-nkey' })}.${base64url({ jti, ...body })}`
  return `${text}.${Buffer.from(await issuer.sign(Buffer.from(text))).toString('base64url')}`
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
