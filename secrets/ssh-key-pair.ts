import ssh2 from 'ssh2'
import { Secret } from '#schemas/secret.ts'
import { readSshKey } from './ssh-key.ts'

/**
 * A new Ed25519 key from the system's generator, in the form of OpenSSH, without a passphrase; the comment is in the private half
 * only.
 *
 * @throws Error when what was made does not prove itself
 */
export function generateSshKey(): { readonly value: Secret<string>; readonly publicKey: string } {
  const value = Secret.of(ssh2.utils.generateKeyPairSync('ed25519', { comment: 'leasehold' }).private)
  const read = readSshKey(value)
  if ('fault' in read) throw new Error('the generator made a key that does not prove itself')
  return { value, publicKey: read.publicKey }
}
