import { generateKeyPairSync } from 'node:crypto'
import { Secret } from '#schemas/secret.ts'
import { readSshKey } from './ssh-key.ts'
import { openSshForm } from './ssh-key-form.ts'

/**
 * A new Ed25519 key from the system's generator as OpenSSH writes it, without a passphrase. Not made by the ssh2 package,
 * whose generator drops a byte of about one key in 250, and nobody can log in with that one.
 *
 * @throws Error when what was made does not prove itself
 */
export function generateSshKey(): { readonly value: Secret<string>; readonly publicKey: string } {
  const value = Secret.of(openSshForm(generateKeyPairSync('ed25519').privateKey))
  const read = readSshKey(value)
  if ('fault' in read) throw new Error('the generator made a key that does not prove itself')
  return { value, publicKey: read.publicKey }
}
