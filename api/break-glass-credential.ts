import { z } from 'zod'
import { BreakGlassCredential, EnrolBreakGlass } from '#schemas/break-glass.ts'
import { UserId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import { enrolPassphrase, findPassphrase, revokeBreakGlassCredentials } from '#store/break-glass-credential.ts'
import type { Transaction } from '#store/connection.ts'
import { listSecurityKeys } from '#store/security-key.ts'
import { readUser } from '#store/user.ts'
import { requireFreshLogin } from './fresh-login.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'
import { presentSecurityKey } from './security-keys.ts'

const mine = '/v1/me/break-glass-credential'

async function readMine(trx: Transaction, userId: UserId): Promise<z.infer<typeof BreakGlassCredential>> {
  const passphrase = await findPassphrase(trx, userId)
  return {
    enrolled: passphrase !== undefined,
    enrolledAt: passphrase?.enrolledAt.toISOString() ?? null,
    securityKeys: (await listSecurityKeys(trx, userId)).map(presentSecurityKey),
  }
}

/** What is asked for in emergencies: its person alone sets it, an administrator can only take it away. */
export function breakGlassCredentialRoutes(route: DefineRoute, { config, passphrases, wakeLoops }: Parts): void {
  route(
    {
      method: 'get',
      path: mine,
      action: 'break-glass-credential.read',
      summary: 'Whether the caller has a passphrase for break-glass, and since when, and which security keys',
      answers: { 200: BreakGlassCredential },
      find: async (trx, { caller }) => ({ credential: await readMine(trx, caller.userId) }),
    },
    ({ found }) => reply(200, found.credential),
  )
  route(
    {
      method: 'put',
      path: mine,
      action: 'break-glass-credential.enrol',
      confirms: true,
      summary: 'Enrol a passphrase for break-glass, or put another one in its place, within 5 minutes of a strong login',
      body: EnrolBreakGlass,
      answers: { 200: BreakGlassCredential },
    },
    async ({ principal, actor, token, body, inAccount }) => {
      requireFreshLogin(config, token)
      const hash = await passphrases.hash(Secret.of(body.passphrase))
      const credential = await inAccount(async (trx) => {
        await enrolPassphrase(trx, principal.userId, hash, actor)
        return readMine(trx, principal.userId)
      })
      wakeLoops()
      return reply(200, credential)
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/users/:id/break-glass-credential',
      action: 'break-glass-credential.revoke',
      confirms: true,
      summary: 'Revoke the passphrase and the security keys of a user for break-glass',
      params: z.object({ id: UserId }),
      answers: { 204: null },
      find: async (trx, { params: { id } }) => ({ user: await readUser(trx, id) }),
    },
    async ({ params: { id }, actor, inAccount }) => {
      await inAccount((trx) => revokeBreakGlassCredentials(trx, id, actor))
      wakeLoops()
      return reply(204, null)
    },
  )
}
