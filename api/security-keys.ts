import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { LeaseholdError } from '#schemas/errors.ts'
import { challengeLife } from '#schemas/rules/break-glass.ts'
import { AskToSign, CreationOptions, EnrolSecurityKey, RequestOptions, SecurityKey } from '#schemas/security-key.ts'
import { creationOptions, relyingPartyOf, requestOptions, verifyRegistration, type RelyingParty } from '#secrets/relying-party.ts'
import { enrolSecurityKey, listSecurityKeys, removeSecurityKey, type EnrolledSecurityKey } from '#store/security-key.ts'
import { keepChallenge, takeChallenge } from '#store/security-key-challenge.ts'
import { requireFreshLogin } from './fresh-login.ts'
import type { ApiSettings, Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'
import { emergencyTries, whenFree } from './when-free.ts'

const mine = '/v1/me/break-glass-credential'
const challengeLength = 32

export const presentSecurityKey = ({ id, name, enrolledAt, lastUsedAt }: EnrolledSecurityKey): z.infer<typeof SecurityKey> => ({
  id,
  name,
  enrolledAt: enrolledAt.toISOString(),
  lastUsedAt: lastUsedAt?.toISOString() ?? null,
})

/** @throws LeaseholdError `security-keys-unavailable` */
export function requireRelyingParty({ apiUrl, corsOrigins, webauthnRpId }: ApiSettings): RelyingParty {
  const party = relyingPartyOf({ apiUrl, corsOrigins, id: webauthnRpId })
  if (party === undefined) throw new LeaseholdError('security-keys-unavailable')
  return party
}

/** Security keys (W3C WebAuthn) that break the glass in place of a passphrase. */
export function securityKeyRoutes(route: DefineRoute, { config, wakeLoops }: Parts): void {
  route(
    {
      method: 'post',
      path: `${mine}/security-keys/challenge`,
      action: 'break-glass-credential.enrol',
      summary: 'Get what a browser asks a new security key for',
      answers: { 200: CreationOptions },
      refuses: ['security-keys-unavailable'],
    },
    async ({ principal: { userId, name, sub }, token, inAccount }) => {
      requireFreshLogin(config, token)
      const party = requireRelyingParty(config)
      const challenge = randomBytes(challengeLength)
      const [enrolled, expiresAt] = await inAccount(
        async (trx) => [await listSecurityKeys(trx, userId), await keepChallenge(trx, challenge, { userId, identityId: null })] as const,
      )
      const publicKey = await creationOptions(party, { id: userId, name: name ?? sub }, challenge, enrolled, challengeLife)
      return reply(200, { publicKey, expiresAt: expiresAt.toISOString() })
    },
  )
  route(
    {
      method: 'post',
      path: `${mine}/security-keys`,
      action: 'break-glass-credential.enrol',
      confirms: true,
      summary: 'Enrol a security key for break-glass, within 5 minutes of a strong login',
      body: EnrolSecurityKey,
      answers: { 201: SecurityKey },
      refuses: ['security-keys-unavailable', 'break-glass-credential-refused', 'already-exists'],
    },
    async ({ principal: { userId }, actor, token, body, inAccount }) => {
      requireFreshLogin(config, token)
      const key = await verifyRegistration(requireRelyingParty(config), body.credential, (challenge) =>
        inAccount((trx) => takeChallenge(trx, challenge, { userId, identityId: null })),
      )
      if (key === undefined) throw new LeaseholdError('break-glass-credential-refused', { detail: 'This is no new key that signed an open challenge of yours' })
      const enrolled = await inAccount((trx) => enrolSecurityKey(trx, userId, { ...key, name: body.name }, actor))
      wakeLoops()
      return reply(201, presentSecurityKey(enrolled))
    },
  )
  route(
    {
      method: 'delete',
      path: `${mine}/security-keys/:id`,
      action: 'break-glass-credential.enrol',
      confirms: true,
      summary: 'Remove a security key of the caller, within 5 minutes of a strong login',
      params: z.object({ id: z.uuid() }),
      answers: { 204: null },
    },
    async ({ principal: { userId }, params: { id }, actor, token, inAccount }) => {
      requireFreshLogin(config, token)
      await inAccount((trx) => removeSecurityKey(trx, userId, id, actor))
      wakeLoops()
      return reply(204, null)
    },
  )
  route(
    {
      method: 'post',
      path: `${mine}/challenge`,
      action: 'break-glass-credential.read',
      summary: 'Get what a browser asks the security keys of the caller for, to break the glass of one identity',
      body: AskToSign,
      answers: { 200: RequestOptions },
      refuses: ['security-keys-unavailable'],
    },
    async ({ principal: { userId }, body: { identityId }, inAccount }) => {
      const party = requireRelyingParty(config)
      const challenge = randomBytes(challengeLength)
      const [enrolled, expiresAt] = await whenFree(emergencyTries, () =>
        inAccount(async (trx) => [await listSecurityKeys(trx, userId), await keepChallenge(trx, challenge, { userId, identityId })] as const),
      )
      return reply(200, { publicKey: await requestOptions(party, challenge, enrolled, challengeLife), expiresAt: expiresAt.toISOString() })
    },
  )
}
