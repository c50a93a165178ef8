import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(pbkdf2)

/** Only these are the same before and after SASLprep (RFC 4013), so no other program can disagree with us about the value. */
export const isPreparedPassword = (password: string): boolean => /^[\x20-\x7e]+$/.test(password)

/**
 * What PostgreSQL stores for a SCRAM-SHA-256 password (RFC 5802 section 3, RFC 7677). Computed here, so that the password
 * itself never appears in a statement that the target could log.
 *
 * @param password printable ASCII
 * @param options.salt 16 random bytes unless given
 * @param options.iterations PostgreSQL's own default unless given
 * @throws TypeError when the password needs SASLprep
 */
export async function scramVerifier(password: string, options: { salt?: Uint8Array; iterations?: number } = {}): Promise<string> {
  if (!isPreparedPassword(password)) throw new TypeError('the password is not printable ASCII')
  const { salt = randomBytes(16), iterations = 4096 } = options
  const salted = await derive(password, salt, iterations, 32, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  const storedKey = createHash('sha256').update(clientKey).digest('base64')
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64')
  return `SCRAM-SHA-256$${iterations}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`
}
