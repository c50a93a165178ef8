import { z } from 'zod'
import { BreakGlassCredential, EnrolBreakGlass } from '#schemas/break-glass.ts'
import { UserId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import { enrolBreakGlassCredential, findBreakGlassCredential, revokeBreakGlassCredential } from '#store/break-glass-credential.ts'
import { readUser } from '#store/user.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'
import { requireLogin } from './step-up.ts'

/** Whoever enrols has just proven who they are, s: a token that was stolen is not enough to get a passphrase of one's own. */
const freshLogin = 300

const mine = '/v1/me/break-glass-credential'
const present = (enrolledAt: Date | undefined) => ({ enrolled: enrolledAt !== undefined, enrolledAt: enrolledAt?.toISOString() ?? null })

/** The passphrase for emergencies: its person alone sets it, an administrator can only take it away. */
export function breakGlassCredentialRoutes(route: DefineRoute, { config, passphrases, wakeLoops }: Parts): void {
  route(
    {
      method: 'get',
      path: mine,
      action: 'break-glass-credential.read',
      summary: 'Whether the caller has a break-glass credential, and since when',
      answers: { 200: BreakGlassCredential },
      find: async (trx, { caller }) => ({ credential: await findBreakGlassCredential(trx, caller.userId) }),
    },
    ({ found }) => reply(200, present(found.credential?.enrolledAt)),
  )
  route(
    {
      method: 'put',
      path: mine,
      action: 'break-glass-credential.enrol',
      confirms: true,
      summary: 'Enrol a break-glass credential, or put another one in its place, within 5 minutes of a strong login',
      body: EnrolBreakGlass,
      answers: { 200: BreakGlassCredential },
    },
    async ({ principal, actor, token, body, inAccount }) => {
      requireLogin({ ...config.stepUp.break_glass, maxAgeSeconds: freshLogin }, token, config)
      const hash = await passphrases.hash(Secret.of(body.passphrase))
      const { enrolledAt } = await inAccount((trx) => enrolBreakGlassCredential(trx, principal.userId, hash, actor))
      wakeLoops()
      return reply(200, present(enrolledAt))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/users/:id/break-glass-credential',
      action: 'break-glass-credential.revoke',
      confirms: true,
      summary: 'Revoke the break-glass credential of a user',
      params: z.object({ id: UserId }),
      answers: { 204: null },
      find: async (trx, { params: { id } }) => ({ user: await readUser(trx, id) }),
    },
    async ({ params: { id }, actor, inAccount }) => {
      await inAccount((trx) => revokeBreakGlassCredential(trx, id, actor))
      wakeLoops()
      return reply(204, null)
    },
  )
}
