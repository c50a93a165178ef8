import { randomBytes } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { BreakGlassLogin, BreakGlassTotpCode, BreakGlassTotpSeed } from '#schemas/break-glass.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, UserId } from '#schemas/ids.ts'
import { hasPermission } from '#schemas/rules/access.ts'
import { Secret } from '#schemas/secret.ts'
import { openForAccount, sealForAccount } from '#secrets/account-key.ts'
import { base32, matchingStep, seedLength } from '#secrets/totp.ts'
import { appendAudit } from '#store/audit.ts'
import { beginAttempt, recordVerdict } from '#store/break-glass-attempt.ts'
import { findPassphrase } from '#store/break-glass-credential.ts'
import { confirmBreakGlassTotp, enrolBreakGlassTotp, findBreakGlassTotp, takeCode, type BreakGlassTotp } from '#store/break-glass-totp.ts'
import { inAccount, type Transaction } from '#store/connection.ts'
import { raiseNotice } from '#store/notice.ts'
import { organizationsWithoutProvider } from '#store/organization.ts'
import { findLogin, readPrincipal } from '#store/principal.ts'
import type { App } from './app.ts'
import { parseJson, readBody, validate } from './body.ts'
import { emergencyTokenLife, issueEmergencyToken } from './emergency-token.ts'
import { requireFreshLogin } from './fresh-login.ts'
import type { Limits } from './limits.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'
import { respond } from './run-route.ts'
import type { Trace } from './trace.ts'

const purpose = 'break-glass-totp'

/** The second factor of a login without the provider; enrolled like the passphrase, by its person and after a fresh login. */
export function breakGlassTotpRoutes(route: DefineRoute, { config, accountKeys, wakeLoops }: Parts): void {
  const path = '/v1/me/break-glass-totp'
  route(
    {
      method: 'put',
      path,
      action: 'break-glass-credential.enrol',
      confirms: true,
      summary: 'Get a seed of one-time codes for break-glass without the identity provider; it counts once a code of it was confirmed',
      answers: { 200: BreakGlassTotpSeed },
    },
    async ({ principal, actor, token, inAccount: run }) => {
      requireFreshLogin(config, token)
      const { accountId, userId, sub } = principal
      const [id, seed] = [uuidv7(), randomBytes(seedLength)]
      const sealed = sealForAccount(await accountKeys.ensure(accountId), { purpose, id }, Secret.of(seed.toString('base64url')))
      await run((trx) => enrolBreakGlassTotp(trx, userId, id, sealed, actor))
      wakeLoops()
      const secret = base32(seed)
      return reply(200, { secret, uri: `otpauth://totp/Leasehold%20break-glass:${encodeURIComponent(sub)}?secret=${secret}&issuer=Leasehold%20break-glass` })
    },
  )
  route(
    {
      method: 'post',
      path: `${path}/confirm`,
      action: 'break-glass-credential.enrol',
      summary: 'Show a one-time code of the new seed, so that it counts',
      body: BreakGlassTotpCode,
      answers: { 204: null },
      refuses: ['break-glass-credential-refused', 'decryption-failed'],
      find: async (trx, { caller }) => ({ totp: await findBreakGlassTotp(trx, caller.userId) }),
    },
    async ({ principal, actor, body, found: { totp }, inAccount: run }) => {
      const step = totp && (await stepOf({ accountKeys }, principal.accountId, totp, body.code))
      if (totp === undefined || step === undefined) throw new LeaseholdError('break-glass-credential-refused')
      await run((trx) => confirmBreakGlassTotp(trx, principal.userId, { id: totp.id, step }, actor))
      return reply(204, null)
    },
  )
}

async function stepOf(
  { accountKeys }: Pick<Parts, 'accountKeys'>,
  accountId: AccountId,
  { id, seed }: BreakGlassTotp,
  code: string,
): Promise<number | undefined> {
  const opened = openForAccount(await accountKeys.get(accountId), { purpose, id }, seed)
  return matchingStep(Buffer.from(opened.expose(), 'base64url'), code, Date.now())
}

/**
 * The one login that does not go through the provider: for break-glass while it is down, where an organization says so. Whoever
 * comes here shows a name, the passphrase and a one-time code, and gets a token that is good for break-glass only.
 */
export function breakGlassLoginRoutes(app: App, parts: Parts, limits: Limits): void {
  app.post('/v1/break-glass/login', async (context) => {
    const trace = context.get('trace')
    limits.beforeTrial(trace.ip)
    const asked = validate(BreakGlassLogin, parseJson(await readBody(context.req.raw)))
    const login = await findLogin(parts.db, parts.config.oidcIssuer, asked.user)
    const accepted = login === undefined ? await pretend(parts, asked) : await tryUnlessExhausted(parts, { ...login, sub: asked.user, trace }, asked)
    parts.wakeLoops()
    if (!accepted) {
      limits.failure(trace.ip)
      throw new LeaseholdError('break-glass-credential-refused')
    }
    const accessToken = await issueEmergencyToken(parts.emergencyTokenKey, parts.config, asked.user)
    return respond(reply(200, { accessToken, tokenType: 'Bearer', expiresIn: emergencyTokenLife }), trace)
  })
}

type Asked = Pick<BreakGlassLogin, 'breakGlassCredential' | 'code'>

interface KnownLogin {
  readonly accountId: AccountId
  readonly userId: UserId
  readonly sub: string
  readonly trace: Trace
}

/** Whose tries are used up is answered like anybody else: a stranger must not learn who there is. */
async function tryUnlessExhausted(parts: Parts, login: KnownLogin, asked: Asked): Promise<boolean> {
  return tryLogin(parts, login, asked).catch((error: unknown) => {
    if (error instanceof LeaseholdError && error.code === 'break-glass-rate-limited') return pretend(parts, asked)
    throw error
  })
}

/** Nobody of this name: as much work as for somebody. */
async function pretend({ passphrases }: Parts, { breakGlassCredential }: Asked): Promise<false> {
  await passphrases.hash(Secret.of(breakGlassCredential))
  return false
}

/**
 * Tries both factors of somebody whom some organization lets in without the provider; of anybody else nothing is tried, nor counted.
 *
 * @returns whether they are right
 * @throws LeaseholdError `break-glass-rate-limited`
 */
async function tryLogin(parts: Parts, login: KnownLogin, asked: Asked): Promise<boolean> {
  const { accountId, userId, sub, trace } = login
  const run = <T>(decide: Parameters<typeof inAccount<T>>[2]): Promise<T> => inAccount(parts.db, accountId, decide)
  const actor = { kind: 'user', id: userId, iss: parts.config.oidcIssuer, sub, ...trace } as const
  const begun = await run(async (trx) =>
    (await mayWithoutProvider(trx, userId))
      ? { attemptId: await beginAttempt(trx, userId, true), passphrase: await findPassphrase(trx, userId), totp: await findBreakGlassTotp(trx, userId) }
      : undefined,
  )
  if (begun === undefined) return pretend(parts, asked)
  const { attemptId, passphrase, totp } = begun
  // Fetched first: while OpenBao is away nobody learns from the answer whether the passphrase is right.
  if (totp !== undefined) await parts.accountKeys.get(accountId)
  const known = await (passphrase === undefined ? pretend(parts, asked) : parts.passphrases.verify(Secret.of(asked.breakGlassCredential), passphrase))
  const step = known && totp !== undefined ? await stepOf(parts, accountId, totp, asked.code) : undefined
  return run(async (trx) => {
    const accepted = totp !== undefined && step !== undefined && (await takeCode(trx, userId, { id: totp.id, step }, false))
    await recordVerdict(trx, { attemptId, accepted, userId, actor, at: null })
    if (!accepted) return false
    await appendAudit(trx, { actor, action: 'break_glass.logged_in', effect: 'permit', outcome: 'success', userId, breakGlass: true })
    await raiseNotice(trx, { kind: 'break_glass.logged_in', severity: 'critical', subject: { type: 'user', id: userId }, to: 'admins' })
    return true
  })
}

async function mayWithoutProvider(trx: Transaction, userId: UserId): Promise<boolean> {
  const principal = await readPrincipal(trx, userId)
  const allowed = await organizationsWithoutProvider(trx)
  return principal !== undefined && allowed.some((id) => hasPermission(principal, 'pam_vaults.break_glass', id))
}
