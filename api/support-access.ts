import { v7 as uuidv7 } from 'uuid'
import { everything } from '#store/page.ts'
import { AuditEvent } from '#schemas/audit.ts'
import { UserId, type AccountId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { Secret } from '#schemas/secret.ts'
import { CreateSupportUser, EmergencyDisable, PutSupportAccess, SupportAccess, SupportUser } from '#schemas/support-access.ts'
import { openForAccount, sealForAccount, type AccountKeys } from '#secrets/account-key.ts'
import type { Actor } from '#schemas/audit-event.ts'
import { hasPermission } from '#schemas/rules/access.ts'
import { readAuditLog } from '#store/audit-view.ts'
import type { RunInAccount } from '#store/connection.ts'
import { refuseFaults } from '#store/refusals.ts'
import { disableSupportAccess, enableSupportAccess, listLeftLeases, readSupportWindow } from '#store/support-access.ts'
import { takeLeasesBack } from '#store/release-lease.ts'
import { createSupportUser, listSupportUsers, readSupportUser } from '#store/support-user.ts'
import { presentEvents } from './audit-events.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import type { Parts } from './parts.ts'
import { reviewAccess } from './review-access.ts'
import { reply, type DefineRoute } from './route.ts'
import { whenFree } from './when-free.ts'

/** How long this process itself takes back what was held, ms; the loop on PostgreSQL alone finishes what is left. */
const takeBackLimit = 4_000
const tries = 10
const batch = 20

/** The toggle by which an account lets support staff in, and takes that back (S2 "Support access workflow"). */
export function supportAccessRoutes(route: DefineRoute, parts: Parts): void {
  const { accountKeys, config, wakeLoops } = parts
  const show = (accountId: AccountId, inAccount: RunInAccount): Promise<SupportAccess> => presentSupportAccess(accountKeys, accountId, inAccount)

  route(
    {
      method: 'get',
      path: '/v1/support-access',
      action: 'support-access.list',
      summary: 'Whether support staff may come in',
      answers: { 200: SupportAccess },
      refuses: ['decryption-failed'],
    },
    async ({ principal, inAccount }) => reply(200, await show(principal.accountId, inAccount)),
  )
  route(
    {
      method: 'put',
      path: '/v1/support-access',
      action: 'support-access.change',
      confirms: true,
      summary: 'Enable support access, change its reason and end, or disable it',
      body: PutSupportAccess,
      answers: { 200: SupportAccess },
      refuses: ['decryption-failed'],
    },
    async ({ principal: { accountId, userId }, actor, body, inAccount }) => {
      const { enabled, reason, expiresInDays } = body
      refuseFaults([
        ...(enabled && reason === undefined ? [{ path: 'reason', message: 'must be given to enable support access' }] : []),
        ...(!enabled && expiresInDays !== undefined ? [{ path: 'expiresInDays', message: 'means nothing without enabled' }] : []),
      ])
      const sealReason = await reasonSealer(accountKeys, accountId, reason)
      const { reviews } = await inAccount((trx) =>
        enabled && sealReason !== undefined
          ? enableSupportAccess(trx, {
              userId,
              actor,
              newId: uuidv7(),
              sealReason,
              expiresInDays: expiresInDays ?? null,
              permissions: config.supportPermissions,
            })
          : disableSupportAccess(trx, { userId, actor, cause: 'disabled', sealReason }),
      )
      wakeLoops()
      await (enabled ? reviewAccess(inAccount, reviews, actor) : takeBack(inAccount, actor))
      return reply(200, await show(accountId, inAccount))
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/support-access/emergency-disable',
      action: 'support-access.emergency-disable',
      summary: 'End all support access at once; what support staff hold is taken back',
      body: EmergencyDisable,
      answers: { 200: SupportAccess },
      refuses: ['decryption-failed'],
    },
    async ({ principal: { accountId, userId }, actor, body, inAccount }) => {
      // A key store that is down must not keep the door open: then the reason goes, not the emergency.
      const sealReason = await reasonSealer(accountKeys, accountId, body.reason).catch(() => undefined)
      // Checkouts that are being decided hold the window for a moment: who closes it comes right after them.
      await whenFree(tries, () => inAccount((trx) => disableSupportAccess(trx, { userId, actor, cause: 'emergency', sealReason })))
      // crash point: support disabled
      wakeLoops()
      await takeBack(inAccount, actor)
      return reply(200, await show(accountId, inAccount))
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/support-access/audit-log',
      action: 'support-access.list',
      summary: 'What was done to support access, and what support staff did; newest first',
      query: PageQuery,
      answers: { 200: pageOf(AuditEvent) },
      refuses: ['organization-secret-not-found', 'decryption-failed'],
    },
    async ({ principal, actor, query, inAccount }) => {
      const page = await inAccount((trx) => readAuditLog(trx, actor, everything, { supportAccess: true }, pageFrom(query)))
      // Why somebody took a credential is for those who manage vaults or audit; why support was let in is for everybody here.
      const readsReasons = (['pam_vaults.manage', 'pam_audit.view'] as const).some((permission) => hasPermission(principal, permission, null))
      const items = readsReasons ? page.items : page.items.map((event) => ({ ...event, reason: null }))
      return reply(200, { ...page, items: await presentEvents(parts, items) })
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/support-access/users',
      action: 'support-access.change',
      confirms: true,
      summary: 'Name one of the support staff',
      body: CreateSupportUser,
      answers: { 201: SupportUser },
      refuses: ['already-exists'],
      idempotent: true,
    },
    async (context) => {
      const iss = config.supportIssuer ?? config.oidcIssuer
      const user = await createOnce(context, {
        make: (trx, id) => createSupportUser(trx, { id: UserId.parse(id), iss }, context.body, context.actor),
        read: (trx, id) => readSupportUser(trx, UserId.parse(id)),
      })
      return reply(201, user, { location: `/v1/users/${user.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/support-access/users',
      action: 'support-access.list',
      summary: 'Those of the support staff who may come in while it is enabled',
      query: PageQuery,
      answers: { 200: pageOf(SupportUser) },
    },
    async ({ query, inAccount }) => reply(200, await inAccount((trx) => listSupportUsers(trx, pageFrom(query)))),
  )
}

async function reasonSealer(accountKeys: AccountKeys, accountId: AccountId, reason: string | undefined) {
  if (reason === undefined) return undefined
  const key = await accountKeys.ensure(accountId)
  return (id: string) => sealForAccount(key, { purpose: 'support-access', id }, Secret.of(reason))
}

/** Ends what support staff hold, in batches: for so long their identities are locked. Nobody of them gets a new one meanwhile. */
async function takeBack(inAccount: RunInAccount, actor: Actor): Promise<void> {
  const limit = performance.now() + takeBackLimit
  for (;;) {
    const { leaseIds, cause } = await inAccount(listLeftLeases)
    if (leaseIds.length === 0 || performance.now() > limit) return
    for (let from = 0; from < leaseIds.length; from += batch) {
      // What somebody else holds for a moment is found again by the next round.
      await inAccount((trx) => takeLeasesBack(trx, leaseIds.slice(from, from + batch), cause, actor))
    }
  }
}

const never: SupportAccess = {
  enabled: false,
  id: null,
  reason: null,
  enabledBy: null,
  enabledAt: null,
  expiresAt: null,
  endedAt: null,
  endCause: null,
  permissions: [],
}

async function presentSupportAccess(accountKeys: AccountKeys, accountId: AccountId, inAccount: RunInAccount): Promise<SupportAccess> {
  const window = await inAccount(readSupportWindow)
  if (window === undefined) return never
  // While the key store is down the state is still told, without the reason.
  const key = await accountKeys.get(accountId).catch(() => undefined)
  const reason = key === undefined ? null : openForAccount(key, { purpose: 'support-access', id: window.id }, window.reason).expose()
  return { ...window, reason }
}
