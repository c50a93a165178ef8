import { createPrivateKey, createPublicKey, sign, verify, type JsonWebKey, type KeyObject } from 'node:crypto'
import ssh2 from 'ssh2'
import type { Secret } from '#schemas/secret.ts'
import { magic, withLength } from './ssh-wire.ts'

/** The public half as a line of a `.pub` file without a comment: type and base64 (RFC 4253 6.6, RFC 5656, RFC 8709). */
export type PublicKeyLine = string

/** What was read, or which rule the text breaks; never a part of the text. */
export type SshKey = { readonly publicKey: PublicKeyLine } | { readonly fault: string }

const encrypted = 'must be a private key without a passphrase: the vault encrypts it, and nobody could type the passphrase at a target'
const unreadable = 'must be one private key in OpenSSH or PEM form'
const unsupported = 'must be an Ed25519 key, an RSA key or an ECDSA key on P-256, P-384 or P-521'
const wrongSize = 'must have 2048 to 16384 bits'
const mismatched = 'must be a private key whose two halves belong together'

/** Reads a private SSH key in the form of OpenSSH or in PEM (PKCS #1, SEC 1, PKCS #8). */
export function readSshKey(text: Secret<string>): SshKey {
  const key = privateKeyOf(text.expose().trim())
  if (typeof key === 'string') return { fault: key }
  const publicKey = lineOf(key)
  if (publicKey === undefined) return { fault: unsupported }
  const bits = key.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && (bits < 2048 || bits > 16_384)) return { fault: wrongSize }
  return provesItself(key) ? { publicKey } : { fault: mismatched }
}

const block = /^-----BEGIN ([A-Z ]{0,12}PRIVATE KEY)-----\r?\n([\s\S]+)\r?\n-----END \1-----$/
/** OpenSSL writes them in front of a SEC 1 key; the key names its curve itself. */
const parameters = /^-----BEGIN EC PARAMETERS-----\r?\n[A-Za-z0-9+/=\r\n]+-----END EC PARAMETERS-----\r?\n/

/** @returns the key, or the rule that the text breaks */
function privateKeyOf(text: string): KeyObject | string {
  const [pem, label, body] = block.exec(text.replace(parameters, '')) ?? []
  if (pem === undefined || body === undefined || body.includes('-----')) return unreadable
  if (label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:.*ENCRYPTED/m.test(body)) return encrypted
  try {
    if (label !== 'OPENSSH PRIVATE KEY') return createPrivateKey(pem)
    if (cipherOf(body) !== 'none') return encrypted
    const key = ssh2.utils.parseKey(pem)
    return key instanceof Error || !key.isPrivateKey() ? unreadable : createPrivateKey(key.getPrivatePEM())
  } catch {
    // The reason could hold bytes of the key.
    return unreadable
  }
}

/** Name of the cipher in OpenSSH's own format (PROTOCOL.key): the string behind a magic word. */
function cipherOf(base64: string): string {
  const file = Buffer.from(base64, 'base64')
  if (file.toString('latin1', 0, magic.length) !== magic) throw new TypeError('not of OpenSSH')
  const bytes = file.subarray(magic.length)
  return bytes.subarray(4, 4 + bytes.readUInt32BE(0)).toString('latin1')
}

const curves: Readonly<Record<string, string>> = { 'P-256': 'nistp256', 'P-384': 'nistp384', 'P-521': 'nistp521' }

/** Undefined: OpenSSH has no name for such a key. */
function lineOf(key: KeyObject): PublicKeyLine | undefined {
  if (!['ed25519', 'rsa', 'ec'].includes(key.asymmetricKeyType ?? '')) return undefined
  const { kty, crv = '', x, y, n, e } = createPublicKey(key).export({ format: 'jwk' }) as JsonWebKey
  if (kty === 'OKP' && crv === 'Ed25519') return line('ssh-ed25519', [bytesOf(x)])
  if (kty === 'RSA') return line('ssh-rsa', [positive(bytesOf(e)), positive(bytesOf(n))])
  const curve = kty === 'EC' ? curves[crv] : undefined
  return curve && line(`ecdsa-sha2-${curve}`, [Buffer.from(curve), Buffer.concat([Buffer.of(4), bytesOf(x), bytesOf(y)])])
}

const line = (type: string, fields: readonly Buffer[]): PublicKeyLine =>
  `${type} ${Buffer.concat([Buffer.from(type), ...fields].map(withLength)).toString('base64')}`

/** An mpint of RFC 4251 section 5: a first bit that is set would make it negative. */
const positive = (bytes: Buffer): Buffer => ((bytes[0] ?? 0) >= 128 ? Buffer.concat([Buffer.of(0), bytes]) : bytes)

const bytesOf = (base64url: string | undefined): Buffer => Buffer.from(base64url ?? '', 'base64url')

/** A file may hold halves of two keys; what the private one signs, the public one must verify. */
function provesItself(key: KeyObject): boolean {
  const [digest, data] = [key.asymmetricKeyType === 'ed25519' ? null : 'sha256', Buffer.from('leasehold')]
  try {
    return verify(digest, data, createPublicKey(key), sign(digest, data, key))
  } catch {
    return false
  }
}
