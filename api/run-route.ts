import { z } from 'zod'
import type { Resource } from '#policy/decide.ts'
import { errors, LeaseholdError } from '#schemas/errors.ts'
import { askInAccount, inAccount, type Transaction } from '#store/connection.ts'
import { readPrincipal } from '#store/principal.ts'
import { recordTampering } from '#store/tampering.ts'
import type { Authenticate, Caller, Login, PeerCertificate } from './authenticate.ts'
import { authorize, confirmRight, recordDenial, type Named } from './authorize.ts'
import { announcing } from './announcing.ts'
import { parseJson, readBody, validate } from './body.ts'
import { askPolicies, circumstancesOf, counting, questionOf } from './enforce.ts'
import { followClaims } from './follow-claims.ts'
import { idempotencyKeyOf, requestHashOf, type Idempotency } from './idempotency.ts'
import type { ReservedUse } from '#store/use-grant.ts'
import type { createCursors } from './cursor.ts'
import type { Lanes } from './lanes.ts'
import type { Limits } from './limits.ts'
import type { Parts } from './parts.ts'
import { reply, type Reply, type RouteContext, type RouteSpec } from './route.ts'
import { requireLogin, stepUpRuleFor } from './step-up.ts'
import type { Trace } from './trace.ts'

const empty = z.strictObject({})

/**
 * One request to one route: limits, authentication, validation, then one transaction that reads the caller and what the action
 * is done to, the decision, and the handler.
 */
export async function runRoute<P, Q, B, F>(
  tools: {
    readonly parts: Parts
    readonly authenticate: Authenticate
    readonly limits: Limits
    readonly cursors: ReturnType<typeof createCursors>
    readonly lanes: Lanes
  },
  spec: RouteSpec<P, Q, B, F>,
  handler: (context: RouteContext<P, Q, B, F>) => Promise<Reply | Response> | Reply | Response,
  incoming: { readonly request: Request; readonly params: Record<string, string>; readonly trace: Trace; readonly certificate: PeerCertificate },
): Promise<Reply | Response> {
  const { db } = tools.parts
  const { request, trace, certificate } = incoming
  const text = await readBody(request)
  const caller = await tools.authenticate(request, trace, certificate)
  if (spec.ownLimit === undefined) tools.limits.request(caller.userId)
  else tools.limits.beforeRefusal(caller.userId)
  const cursors = tools.cursors(caller.accountId, spec.path)
  const input = cursors.open(readInput(spec, incoming, text))
  const idempotency = spec.idempotent ? identify(tools.parts, spec, caller.userId, input, request) : undefined
  const look = spec.findAtOnce ? askInAccount : inAccount
  const see = () =>
    look(db, caller.accountId, async (trx) => {
      // Both are asked at once; to somebody who may not come in it does not matter what was found.
      const [reader, resource] = await Promise.allSettled([readPrincipal(trx, caller.userId), find(trx, spec, { caller, ...input, idempotency })])
      if (reader.status === 'rejected') throw reader.reason
      if (reader.value !== undefined && resource.status === 'rejected') throw resource.reason
      const found = resource.status === 'fulfilled' ? resource.value : undefined
      return { principal: reader.value, found, stepUp: found && (await stepUpRuleFor(trx, tools.parts.config, spec.action, found)) }
    })
  const counted = (error: unknown): never => {
    if (spec.ownLimit !== undefined && error instanceof LeaseholdError && errors[error.code].status < 500) tools.limits.refused(caller.userId)
    throw error
  }
  let seen = await see().catch(counted)
  // What our own token does not say of groups means nothing.
  if (seen.principal !== undefined && caller.token.emergency !== true && (await followClaims(db, caller, seen.principal))) seen = await see()
  const { principal, found, stepUp } = seen
  if (principal === undefined) {
    await recordDenial(db, caller, spec.action, {}, 'forbidden')
    throw new LeaseholdError('forbidden')
  }
  if (found === undefined) throw new LeaseholdError('not-found')
  if (caller.token.emergency === true && (spec.emergency !== true || found.withoutProvider !== true)) {
    await recordDenial(db, caller, spec.action, found, 'forbidden')
    throw new LeaseholdError('forbidden', { missing: 'a login at the identity provider' })
  }
  await authorize(db, { ...caller, principal }, spec.action, found).catch(counted)
  try {
    const question = questionOf(principal, spec.action, found, circumstancesOf(caller, spec.asked?.(input.body)))
    const obligations = await askPolicies(tools.parts, principal, question)
    requireLogin(stepUp, caller.token, tools.parts.config)
    requireLogin(obligations.login, caller.token, tools.parts.config)
    const { approvers = 0 } = obligations
    if (approvers > 0 && spec.approved?.(found) !== true) throw new LeaseholdError('approval-required')
    const act = async (reserved: ReservedUse | undefined, decisionEndsAt: Date | null): Promise<Reply | Response> =>
      handler({
        principal,
        actor: { ...caller.actor, decisionId: reserved?.decisionId ?? caller.actor.decisionId },
        decisionEndsAt,
        approvers,
        ...input,
        found,
        idempotency: idempotency as Idempotency,
        trace,
        token: caller.token,
        request,
        inAccount: inLane(tools.lanes, spec, found, (decide) =>
          announcing(tools.parts, caller.accountId, async (trx) => {
            const decided = await decide(trx)
            if (spec.confirms) await confirmRight(trx, principal, spec.action, found)
            return decided
          }),
        ),
      })
    const answer = await counting(
      tools.parts,
      caller,
      { action: spec.action, resource: question.resource, policyVersion: principal.policyVersion },
      obligations,
      act,
      // Who was told to wait for an approval has nothing yet.
      ({ status }) => spec.counted === undefined || status !== 202,
    )
    return cursors.seal(input, answer)
  } catch (error) {
    if (error instanceof LeaseholdError && error.code === 'decryption-failed') await alarmTampering(tools.parts, caller, found)
    // Authority is read again behind the locks; what is denied there is a denial like any other, and so is a weak login.
    if (error instanceof LeaseholdError && (errors[error.code].status === 403 || errors[error.code].status === 401))
      await recordDenial(db, caller, spec.action, found, error.code)
    throw error
  }
}

/** On record and in the log of the process, by a name that operators watch for. */
async function alarmTampering({ db, log }: Parts, { accountId, actor }: Caller, found: Resource & Named): Promise<void> {
  const { organizationId, vaultId, identityId, leaseId } = found
  log.error({ alarm: 'decryption-failed', organizationId, vaultId, identityId, leaseId }, 'a stored value failed its integrity check')
  await inAccount(db, accountId, (trx) =>
    recordTampering(trx, {
      actor,
      organizationId: organizationId ?? null,
      vaultId: vaultId ?? null,
      ...(identityId === undefined ? {} : { identityId }),
      ...(leaseId === undefined ? {} : { leaseId }),
    }),
  )
}

/** Whatever may wait for the lock of an identity does so in the lane of that identity. */
function inLane<P, Q, B, F>(
  lanes: Lanes,
  { method }: RouteSpec<P, Q, B, F>,
  found: Resource,
  run: RouteContext<P, Q, B, F>['inAccount'],
): RouteContext<P, Q, B, F>['inAccount'] {
  const { identityId } = found as { readonly identityId?: string }
  return method === 'get' || identityId === undefined ? run : (decide) => lanes(identityId, () => run(decide))
}

async function find<P, Q, B, F>(
  trx: Transaction,
  spec: RouteSpec<P, Q, B, F>,
  request: { caller: Login; params: P; query: Q; body: B; idempotency: Idempotency | undefined },
): Promise<(Resource & F) | undefined> {
  return spec.find === undefined ? ({} as Resource & F) : spec.find(trx, request)
}

function readInput<P, Q, B, F>(
  spec: RouteSpec<P, Q, B, F>,
  { request, params }: { request: Request; params: Record<string, string> },
  text: string,
): { params: P; query: Q; body: B } {
  const path = (spec.params ?? (empty as unknown as z.ZodType<P>)).safeParse(params)
  if (!path.success) throw new LeaseholdError('not-found')
  const query = validate(spec.query ?? (empty as unknown as z.ZodType<Q>), queryOf(request.url))
  const body = validate(spec.body ?? (empty as unknown as z.ZodType<B>), parseJson(text))
  return { params: path.data, query, body }
}

/** @throws LeaseholdError `validation-failed` for a parameter that is given twice */
function queryOf(url: string): Record<string, string> {
  const { searchParams } = new URL(url)
  const twice = [...new Set(searchParams.keys())].filter((name) => searchParams.getAll(name).length > 1)
  if (twice.length > 0) throw new LeaseholdError('validation-failed', { errors: [{ path: 'query', message: 'a parameter is given twice' }] })
  return Object.fromEntries(searchParams)
}

function identify<P, Q, B, F>(
  parts: Parts,
  { method, path }: RouteSpec<P, Q, B, F>,
  userId: Idempotency['userId'],
  input: { params: P; body: B },
  request: Request,
): Idempotency {
  const route = `${method} ${path}`
  return { userId, key: idempotencyKeyOf(request.headers), route, requestHash: requestHashOf(parts.requestHashKey, route, input.params, input.body) }
}

/** The answer on the wire. */
export function respond(answer: Reply | Response, trace: Trace): Response {
  const response = answer instanceof Response ? answer : toResponse(answer)
  response.headers.set('x-correlation-id', trace.correlationId)
  return response
}

function toResponse({ status, body, headers }: ReturnType<typeof reply>): Response {
  if (body === null) return new Response(null, { status, headers })
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } })
}
