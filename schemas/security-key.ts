import { z } from 'zod'
import { IdentityId } from './ids.ts'
import { name, text } from './text.ts'

/** Binary data as browsers give it (W3C WebAuthn 3 section 5.1); what is longer comes from no authenticator. */
const bytes = (longest: number) =>
  z
    .string()
    .min(1)
    .max(Math.ceil((longest * 4) / 3))
    .regex(/^[\w-]+$/, { error: 'must be base64url without padding' })
const webauthnId = bytes(1_023)
const clientData = bytes(4_096)
const transport = text(1, 32)

/** What a browser adds of its own accord; nothing of it is read. */
const unread = {
  rawId: webauthnId,
  type: z.literal('public-key'),
  authenticatorAttachment: z.string().max(32).nullish(),
  clientExtensionResults: z.record(z.string().max(64), z.unknown()),
}

/** RegistrationResponseJSON (W3C WebAuthn 3 section 5.1): `PublicKeyCredential.toJSON()` of a new key. */
const Registration = z.strictObject({
  id: webauthnId,
  ...unread,
  response: z.strictObject({
    clientDataJSON: clientData,
    attestationObject: bytes(16_384),
    transports: z.array(transport).max(8).optional(),
    authenticatorData: bytes(8_192).nullish(),
    publicKey: bytes(4_096).nullish(),
    publicKeyAlgorithm: z.int().nullish(),
  }),
})
export type Registration = z.infer<typeof Registration>

/** AuthenticationResponseJSON (W3C WebAuthn 3 section 5.1): `PublicKeyCredential.toJSON()` of a signed challenge. */
export const Assertion = z.strictObject({
  id: webauthnId,
  ...unread,
  response: z.strictObject({ clientDataJSON: clientData, authenticatorData: bytes(8_192), signature: bytes(8_192), userHandle: bytes(64).nullish() }),
})
export type Assertion = z.infer<typeof Assertion>

export const SecurityKey = z.strictObject({
  id: z.uuid(),
  name: z.string(),
  enrolledAt: z.iso.datetime(),
  lastUsedAt: z.iso.datetime().nullable(),
})

export const EnrolSecurityKey = z.strictObject({ name: name.meta({ description: 'What its person calls it' }), credential: Registration })

export const AskToSign = z.strictObject({ identityId: IdentityId.meta({ description: 'What the emergency is about: the challenge is good for it alone' }) })

/** Where `navigator.credentials` takes it: PublicKeyCredential.parseCreationOptionsFromJSON or parseRequestOptionsFromJSON. */
const options = (type: string) =>
  z.strictObject({
    publicKey: z.looseObject({ challenge: z.string() }).meta({ description: `${type} (W3C WebAuthn 3 section 5.1); its challenge counts once` }),
    expiresAt: z.iso.datetime(),
  })
export const CreationOptions = options('PublicKeyCredentialCreationOptionsJSON')
export const RequestOptions = options('PublicKeyCredentialRequestOptionsJSON')
