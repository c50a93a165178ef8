import type { KeyObject } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { v7 as uuidv7 } from 'uuid'
import type { AccessToken } from './access-token.ts'
import type { ApiSettings } from './parts.ts'

/** Tokens of our own, for break-glass while the provider of logins is down, and for nothing else. */

const typ = 'break-glass+jwt'
const algorithm = 'HS256'
/** Seconds; as for every access token. */
export const emergencyTokenLife = 900

type Settings = Pick<ApiSettings, 'apiUrl' | 'apiAudience' | 'oidcIssuer' | 'acrOrder'>
const audienceOf = ({ apiAudience }: Settings): string => `${apiAudience}#break-glass`

/** @param key the same in every replica @param sub of the person at the provider */
export function issueEmergencyToken(key: KeyObject, settings: Settings, sub: string): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: algorithm, typ })
    .setIssuer(settings.apiUrl)
    .setAudience(audienceOf(settings))
    .setSubject(sub)
    .setJti(uuidv7())
    .setIssuedAt()
    .setExpirationTime(`${emergencyTokenLife}s`)
    .sign(key)
}

/** Whether it says of itself that it is one; what it says is checked by `checkEmergencyToken`. */
export function isEmergencyToken(token: string): boolean {
  try {
    return decodeProtectedHeader(token).typ === typ
  } catch {
    return false
  }
}

/**
 * As the access token of the provider would be for the same person: a login with two factors, made when the token was. It
 * brings no groups, no address, and no key.
 *
 * @throws Error when it is none of ours, or over
 */
export async function checkEmergencyToken(key: KeyObject, settings: Settings, token: string): Promise<AccessToken> {
  const { payload } = await jwtVerify(token, key, {
    issuer: settings.apiUrl,
    audience: audienceOf(settings),
    typ,
    algorithms: [algorithm],
    requiredClaims: ['sub', 'jti', 'iat', 'exp'],
    maxTokenAge: emergencyTokenLife,
  })
  const { sub = '', jti = '', iat = 0, exp = 0 } = payload
  return {
    iss: settings.oidcIssuer,
    sub,
    jti,
    clientId: 'break-glass',
    acr: settings.acrOrder.at(-1),
    authTime: iat,
    binding: undefined,
    expiresAt: new Date(exp * 1_000),
    issuedAt: new Date(iat * 1_000),
    email: undefined,
    name: undefined,
    groups: undefined,
    emergency: true,
  }
}
