import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { existsSync } from 'node:fs'
import { randomSecret, readJson, writePrivate, type Home } from './home.ts'
import { seededAccounts } from './people.ts'

/** A person of the embedded provider: `<home>/oidc/users/<sub>.json`, read at every login, so that people come and go while it runs. */
export interface OidcUser {
  readonly sub: string
  readonly email: string
  readonly email_verified: boolean
  readonly name: string
  readonly password: string
  /** Hexadecimal key of the time-based one-time codes (RFC 6238, SHA-1, 6 digits, 30 s). */
  readonly totpSecret: string
}

const userFile = (home: Home, sub: string): string => home.file('oidc', 'users', `${sub}.json`)

/** @returns undefined for an unknown or malformed name */
export function readUser(home: Home, sub: string): OidcUser | undefined {
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(sub) || !existsSync(userFile(home, sub))) return undefined
  return readJson<OidcUser>(userFile(home, sub))
}

export function addUser(home: Home, user: Omit<OidcUser, 'password' | 'totpSecret'>): OidcUser {
  const complete = { ...user, password: randomSecret(), totpSecret: randomBytes(20).toString('hex') }
  writePrivate(userFile(home, user.sub), complete)
  return complete
}

export function writeSeededPeople(home: Home): void {
  for (const { sub, email, name } of seededAccounts.flatMap((account) => account.users)) {
    if (!existsSync(userFile(home, sub))) addUser(home, { sub, email, email_verified: true, name })
  }
}

/** The code of RFC 6238 for a moment. @param at milliseconds since 1970 */
export function oneTimeCode({ totpSecret }: Pick<OidcUser, 'totpSecret'>, at = Date.now()): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)))
  const mac = createHmac('sha1', Buffer.from(totpSecret, 'hex')).update(counter).digest()
  const offset = mac.readUInt8(mac.length - 1) & 15
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

/** Codes of this step and of the one before it, for slow typists. */
export const acceptsCode = (user: OidcUser, code: string, at = Date.now()): boolean => [at, at - 30_000].some((moment) => same(oneTimeCode(user, moment), code))

export const acceptsPassword = (user: OidcUser, password: string): boolean => same(user.password, password)

function same(expected: string, given: string): boolean {
  const [left, right] = [Buffer.from(expected), Buffer.from(given)]
  return left.length === right.length && timingSafeEqual(left, right)
}
