import { generateKeyPairSync, randomBytes, type JsonWebKey } from 'node:crypto'
import { Secret } from '#schemas/secret.ts'
import { readSshKey } from './ssh-key.ts'
import { magic, withLength } from './ssh-wire.ts'

const type = Buffer.from('ssh-ed25519')

/**
 * A new Ed25519 key from the system's generator as OpenSSH writes it (PROTOCOL.key), without a passphrase. Written here, because
 * the generator of the ssh2 package drops a byte of about one key in 250, and nobody can log in with that one.
 *
 * @throws Error when what was made does not prove itself
 */
export function generateSshKey(): { readonly value: Secret<string>; readonly publicKey: string } {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }) as JsonWebKey
  const value = Secret.of(openSshForm(Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')))
  const read = readSshKey(value)
  if ('fault' in read) throw new Error('the generator made a key that does not prove itself')
  return { value, publicKey: read.publicKey }
}

/** @param seed private half, 32 bytes. @param point public half, 32 bytes */
function openSshForm(seed: Buffer, point: Buffer): string {
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
