import { isIP } from 'node:net'
import type * as WebAuthn from '@simplewebauthn/server'
import type { isoCBOR } from '@simplewebauthn/server/helpers'
import { LeaseholdError } from '#schemas/errors.ts'
import type { Assertion, Registration } from '#schemas/security-key.ts'

/** Whom security keys sign for (W3C WebAuthn 3 section 4, "Relying Party"). */
export interface RelyingParty {
  /** A domain; keys are bound to it. */
  readonly id: string
  /** Of the pages where people use their keys. */
  readonly origins: readonly string[]
}

export interface PublicKey {
  readonly webauthnId: Uint8Array
  /** COSE_Key (RFC 9052). */
  readonly publicKey: Uint8Array
  readonly signCount: number
  readonly transports: readonly string[]
}

/** Whether a challenge was given out for this and has not been signed before; asked once per verification. */
export type TakeChallenge = (challenge: Uint8Array) => Promise<boolean>

/** Whether a page at `url` may use keys that are bound to `domain` (HTML, "is a registrable domain suffix of or is equal to"). */
export const isUnder = (domain: string, url: string): boolean => `.${new URL(url).hostname}`.endsWith(`.${domain}`)

/**
 * The relying party of an installation: its own address, and of the origins that browsers may call from those under its domain.
 *
 * @param id domain of it, when it is not that of `apiUrl`
 * @returns undefined: keys are bound to domains, and there is none
 */
export function relyingPartyOf({ apiUrl, corsOrigins, id }: { apiUrl: string; corsOrigins: readonly string[]; id?: string | undefined }) {
  const domain = id ?? new URL(apiUrl).hostname
  if (isIP(domain.replace(/^\[|\]$/g, '')) !== 0) return undefined
  return { id: domain, origins: [new URL(apiUrl).origin, ...corsOrigins].filter((origin) => isUnder(domain, origin)) }
}

/** Loaded by the first use of a key: a quarter of a second that most processes never need. */
const library = (): Promise<typeof WebAuthn> => import('@simplewebauthn/server')

/** Somebody was there, and the key has checked who: with a key that was found a stranger can do nothing. */
const userVerification = 'required'
/** COSE algorithms (RFC 9053): ES256, EdDSA, RS256. */
const supportedAlgorithmIDs = [-7, -8, -257]
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const named = (keys: readonly PublicKey[]) => keys.map(({ webauthnId, transports }) => ({ id: base64url(webauthnId), transports: [...transports] }))
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, 'base64url'))

/** What a browser asks a new key for (W3C WebAuthn 3 section 5.4). */
export async function creationOptions(
  { id }: RelyingParty,
  user: { id: string; name: string },
  challenge: Uint8Array,
  enrolled: readonly PublicKey[],
  timeout: number,
) {
  return (await library()).generateRegistrationOptions({
    rpName: 'Leasehold break-glass',
    rpID: id,
    userName: user.name,
    userID: new Uint8Array(Buffer.from(user.id)),
    challenge: new Uint8Array(challenge),
    excludeCredentials: named(enrolled),
    supportedAlgorithmIDs,
    authenticatorSelection: { residentKey: 'discouraged', userVerification },
    timeout,
  })
}

/** What a browser asks one of these keys for (W3C WebAuthn 3 section 5.5). */
export async function requestOptions({ id }: RelyingParty, challenge: Uint8Array, enrolled: readonly PublicKey[], timeout: number) {
  return (await library()).generateAuthenticationOptions({
    rpID: id,
    challenge: new Uint8Array(challenge),
    allowCredentials: named(enrolled),
    userVerification,
    timeout,
  })
}

/**
 * W3C WebAuthn 3 section 7.1. Who made the key is not asked (attestation `none`): whoever enrols one has just logged in.
 *
 * @returns the key; undefined: this proves none
 */
export async function verifyRegistration(party: RelyingParty, response: Registration, take: TakeChallenge): Promise<PublicKey | undefined> {
  const { verifyRegistrationResponse } = await library()
  const verified = await unlessRefused(
    (async () =>
      verifyRegistrationResponse({
        ...expected(party, take),
        supportedAlgorithmIDs,
        response: (await withoutStatement(response)) as WebAuthn.RegistrationResponseJSON,
      }))(),
  )
  if (verified?.verified !== true) return undefined
  const { id, publicKey, counter } = verified.registrationInfo.credential
  return { webauthnId: bytesOf(id), publicKey, signCount: counter, transports: response.response.transports ?? [] }
}

/**
 * W3C WebAuthn 3 section 7.2.
 *
 * @returns how often the key has signed; undefined: this is not its signature, or a copy of it has signed meanwhile
 */
export async function verifyAssertion(party: RelyingParty, response: Assertion, key: PublicKey, take: TakeChallenge): Promise<number | undefined> {
  const credential = { id: base64url(key.webauthnId), publicKey: new Uint8Array(key.publicKey), counter: key.signCount }
  const verified = await unlessRefused(
    (await library()).verifyAuthenticationResponse({
      ...expected(party, take),
      response: response as WebAuthn.AuthenticationResponseJSON,
      credential,
    }),
  )
  return verified?.verified === true ? verified.authenticationInfo.newCounter : undefined
}

type Cbor = Parameters<typeof isoCBOR.encode>[0]

/** Nobody asked for a statement about the maker of the key; of one that comes all the same the library would dial what its certificates name. */
async function withoutStatement(registration: Registration): Promise<Registration> {
  const helpers = await import('@simplewebauthn/server/helpers')
  const authData = helpers.decodeAttestationObject(bytesOf(registration.response.attestationObject)).get('authData')
  const bare = helpers.isoCBOR.encode(
    new Map<string, Cbor>([
      ['fmt', 'none'],
      ['attStmt', new Map()],
      ['authData', authData],
    ]),
  )
  return { ...registration, response: { ...registration.response, attestationObject: base64url(bare) } }
}

const expected = ({ id, origins }: RelyingParty, take: TakeChallenge) => ({
  expectedRPID: id,
  expectedOrigin: [...origins],
  expectedChallenge: (challenge: string) => take(bytesOf(challenge)),
  requireUserVerification: true,
})

/** The library throws whatever is wrong with what was sent; what is ours passes through. */
async function unlessRefused<T>(verification: Promise<T>): Promise<T | undefined> {
  return verification.catch((error: unknown) => {
    if (error instanceof LeaseholdError) throw error
    return undefined
  })
}
