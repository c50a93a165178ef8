import { createPrivateKey, randomBytes, type JsonWebKey, type KeyObject } from 'node:crypto'
import { magic, withLength } from './ssh-wire.ts'

/** An Ed25519 key in OpenSSH's own format (PROTOCOL.key), without a passphrase. */
export function openSshForm(key: KeyObject): string {
  const { d = '', x = '' } = key.export({ format: 'jwk' }) as JsonWebKey
  const [seed, point] = [Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]
  const type = Buffer.from('ssh-ed25519')
  // Twice the same random number: whoever decrypts an encrypted key sees by it that the passphrase was right.
  const check = randomBytes(4)
  const fields = [type, point, Buffer.concat([seed, point]), Buffer.from('leasehold')].map(withLength)
  const secret = Buffer.concat([check, check, ...fields])
  // Padded with 1, 2, 3, ... to whole blocks of 8 bytes, the block of no cipher.
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1))
  const none = Buffer.from('none')
  const publicHalf = Buffer.concat([type, point].map(withLength))
  const file = Buffer.concat([
    Buffer.from(magic, 'latin1'),
    ...[none, none, Buffer.alloc(0)].map(withLength),
    Buffer.of(0, 0, 0, 1),
    ...[publicHalf, Buffer.concat([secret, padding])].map(withLength),
  ])
  const lines = file.toString('base64').match(/.{1,70}/g) ?? []
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n')
}

const block = /-----BEGIN (EC |RSA )?PRIVATE KEY-----[\s\S]+?-----END \1PRIVATE KEY-----/

/**
 * A private key in a form that SSH programs read. People may store PKCS #8, and SEC 1 with its parameters in front, which the
 * connector's SSH library does not know. Everything else comes back as it is.
 */
export function readableBySsh(text: string): string {
  const [pem] = block.exec(text) ?? []
  if (pem === undefined) return text
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return openSshForm(key)
    if (key.asymmetricKeyType === 'rsa') return key.export({ type: 'pkcs1', format: 'pem' }).toString()
    return key.asymmetricKeyType === 'ec' ? key.export({ type: 'sec1', format: 'pem' }).toString() : text
  } catch {
    // The reason could hold bytes of the key; whoever uses it says that it is none.
    return text
  }
}
