import { existsSync } from 'node:fs'
import type { CryptoKeyPair } from 'oauth4webapi'
import { configFile, forget, keep, kept, refuseShared } from './config-folder.ts'
import { readDpopKey } from './dpop-key.ts'

/** The login of this person on this machine. Its token works with the key beside it only. */
export interface StoredLogin {
  readonly issuer: string
  readonly clientId: string
  /** The API that it was made for: no other one gets the token. */
  readonly api: string
  readonly accessToken: string
  /** ISO 8601; null: the issuer did not say. */
  readonly expiresAt: string | null
}

const loginFile = 'login.json'
const keyFile = 'dpop-key.json'

/** The key of this person's logins, made at the first one. */
export async function ownKey(): Promise<CryptoKeyPair> {
  const file = configFile(keyFile)
  if (existsSync(file)) refuseShared(file)
  return readDpopKey(file)
}

export const storeLogin = (login: StoredLogin): void => keep(loginFile, login)

/** Also one that has ended: the next one is made at the same place. */
export const lastLogin = (): StoredLogin | undefined => kept<StoredLogin>(loginFile)

/** @returns undefined when nobody is logged in @throws Error when the login has ended */
export function storedLogin(): StoredLogin | undefined {
  const login = lastLogin()
  if (login?.expiresAt != null && Date.parse(login.expiresAt) <= Date.now()) throw new Error('your login has ended; run: leasehold login')
  return login
}

/** Forgets the token and destroys its key, without which a copy of the token is worth nothing. */
export function forgetLogin(): void {
  for (const file of [loginFile, keyFile]) forget(file)
}
