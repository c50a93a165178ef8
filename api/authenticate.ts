import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, UserId } from '#schemas/ids.ts'
import { appendAudit } from '#store/audit.ts'
import { inAccount } from '#store/connection.ts'
import { findLogin } from '#store/principal.ts'
import { createTokenCheck, RefusedLoginError, type AccessToken } from './access-token.ts'
import { checkProof } from './dpop.ts'
import type { Parts } from './parts.ts'
import type { Trace } from './trace.ts'

/** Who is asking, as far as the token tells. */
export interface Caller {
  readonly accountId: AccountId
  readonly userId: UserId
  readonly token: AccessToken
  readonly actor: Actor
}

export type Login = Pick<Caller, 'accountId' | 'userId'>
const rememberedLogins = 10_000

export type Authenticate = (request: Request, trace: Trace) => Promise<Caller>

/**
 * Finds the caller by the access token in `Authorization`: `DPoP` with a proof when the token is bound to a key, else `Bearer`.
 * A refusal of a known person's token is written to the log of that account.
 *
 * @throws LeaseholdError `invalid-token`, `invalid-dpop-proof`, `forbidden` (nobody of ours), `dependency-unavailable`
 */
export function createAuthenticate(parts: Parts): Authenticate {
  const { config, db } = parts
  const logins = new Map<string, Login>()
  const check = createTokenCheck({ issuer: config.oidcIssuer, issuerUrl: config.oidcUrl, audience: config.apiAudience })

  return async function authenticate(request, trace) {
    const { scheme, token } = credentialsOf(request.headers.get('authorization'))
    let claims: AccessToken
    try {
      claims = await check(token)
      await checkBinding(scheme, token, claims, request)
    } catch (error) {
      await recordFailure(error, trace)
      throw error
    }
    const login = await loginOf(claims)
    if (login === undefined) throw new LeaseholdError('forbidden')
    return { ...login, token: claims, actor: actorOf(login.userId, claims, trace) }
  }

  /** Whose login it is never changes, so it is remembered; whether that user may still come in is read in every request's transaction. */
  async function loginOf({ iss, sub }: { readonly iss: string; readonly sub: string }): Promise<Login | undefined> {
    const name = `${iss}\n${sub}`
    const known = logins.get(name)
    if (known !== undefined) return known
    const login = await findLogin(db, iss, sub)
    if (login !== undefined) logins.set(name, login)
    const oldest = logins.keys().next().value
    if (logins.size > rememberedLogins && oldest !== undefined) logins.delete(oldest)
    return login
  }

  async function checkBinding(scheme: string, token: string, claims: AccessToken, request: Request): Promise<void> {
    if ((scheme === 'dpop') !== (claims.jkt !== undefined)) throw new RefusedLoginError(claims)
    if (claims.jkt === undefined) return
    const url = config.apiUrl.replace(/\/$/, '') + new URL(request.url).pathname
    await checkProof(request.headers.get('dpop'), { token, jkt: claims.jkt, method: request.method, url }).catch((cause: unknown) => {
      throw new RefusedLoginError(claims, cause, 'invalid-dpop-proof')
    })
  }

  async function recordFailure(error: unknown, trace: Trace): Promise<void> {
    if (!(error instanceof RefusedLoginError) || error.claims === undefined) return
    const { code, claims } = error
    const login = await loginOf(claims)
    if (login === undefined) return
    const actor = actorOf(login.userId, claims, trace)
    await inAccount(db, login.accountId, (trx) => appendAudit(trx, { actor, action: 'authentication.refused', effect: 'deny', outcome: code }))
  }
}

const actorOf = (id: UserId, { iss, sub }: { readonly iss: string; readonly sub: string }, trace: Trace): Actor => ({ kind: 'user', id, iss, sub, ...trace })

function credentialsOf(header: string | null): { scheme: string; token: string } {
  const [, scheme, token] = /^(Bearer|DPoP) +(\S+)$/i.exec(header ?? '') ?? []
  if (scheme === undefined || token === undefined) throw new RefusedLoginError(undefined)
  return { scheme: scheme.toLowerCase(), token }
}
