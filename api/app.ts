import type { HttpBindings } from '@hono/node-server'
import { Hono, type Context } from 'hono'
import { matchedRoutes } from 'hono/route'
import { TLSSocket } from 'node:tls'
import { LeaseholdError } from '#schemas/errors.ts'
import { accessRequestRoutes } from './access-requests.ts'
import { accessRoutes } from './access.ts'
import { addAnswerHeaders } from './answer-headers.ts'
import { approvalPolicyRoutes } from './approval-policies.ts'
import { auditEventRoutes } from './audit-events.ts'
import { createAuthenticate } from './authenticate.ts'
import { breakGlassCredentialRoutes } from './break-glass-credential.ts'
import { breakGlassLoginRoutes, breakGlassTotpRoutes } from './break-glass-login.ts'
import { breakGlassReviewRoutes } from './break-glass-reviews.ts'
import { breakGlassRoutes } from './break-glass.ts'
import { checkRoutes } from './checks.ts'
import { checkoutRoutes } from './checkout.ts'
import { connectorRoutes } from './connectors.ts'
import { addCorsHeaders } from './cors.ts'
import { createCursors } from './cursor.ts'
import { dutyRoutes } from './duties.ts'
import { enrollRoutes } from './enroll.ts'
import { grantRoutes } from './grants.ts'
import { healthRoutes } from './health.ts'
import { hostRoutes } from './hosts.ts'
import { identityRoutes } from './identities.ts'
import { identityGroupRoutes } from './identity-groups.ts'
import { idpGroupRoutes } from './idp-groups.ts'
import { idpUserRoutes } from './idp-users.ts'
import { jobRoutes } from './jobs.ts'
import { joinRoutes } from './join.ts'
import { createLanes } from './lanes.ts'
import { leaseRoutes } from './leases.ts'
import { legacyImportRoutes } from './legacy-import.ts'
import { createLimits } from './limits.ts'
import { meRoutes } from './me.ts'
import { moveRoutes } from './move-identity.ts'
import { openApiOf, type AnyRouteSpec } from './openapi.ts'
import { organizationRoutes, organizationSecretRoutes } from './organizations.ts'
import { mountRoutes } from './mount-routes.ts'
import { noticeRoutes } from './notices.ts'
import { notificationChannelRoutes } from './notification-channels.ts'
import type { Parts } from './parts.ts'
import { peerCertificate, refuseOddHeaders } from './incoming.ts'
import { policyRoutes } from './policies.ts'
import { principalRoutes } from './principals.ts'
import { problemOf } from './problem.ts'
import { recertificationRoutes } from './recertifications.ts'
import { revealRoutes } from './reveal.ts'
import { roleRoutes } from './roles.ts'
import { rotationCampaignRoutes } from './rotation-campaigns.ts'
import { rotationRoutes } from './rotations.ts'
import type { DefineRoute, Reply } from './route.ts'
import { respond, runRoute } from './run-route.ts'
import { scrubError } from './scrub-error.ts'
import { securityKeyRoutes } from './security-keys.ts'
import { stepUpRoutes } from './step-up.ts'
import { supportAccessRoutes } from './support-access.ts'
import { traceOf, type Trace } from './trace.ts'
import { userRoutes } from './users.ts'

export interface Environment {
  Bindings: Partial<HttpBindings>
  Variables: { trace: Trace }
}
export type App = Hono<Environment>

/** One decides and one stands ready behind its lock. */
const laneWidth = 2
/** As long as for a connection of the pool, ms: a crowd on a slow machine is answered, not turned away. */
const laneLimit = 10_000

/** Every resource of the API; a new one adds its line here. */
const resources: readonly ((route: DefineRoute, parts: Parts) => void)[] = [
  meRoutes,
  checkoutRoutes,
  breakGlassRoutes,
  breakGlassCredentialRoutes,
  breakGlassReviewRoutes,
  breakGlassTotpRoutes,
  securityKeyRoutes,
  revealRoutes,
  leaseRoutes,
  accessRequestRoutes,
  approvalPolicyRoutes,
  recertificationRoutes,
  rotationRoutes,
  rotationCampaignRoutes,
  checkRoutes,
  jobRoutes,
  dutyRoutes,
  auditEventRoutes,
  organizationRoutes,
  organizationSecretRoutes,
  legacyImportRoutes,
  stepUpRoutes,
  identityGroupRoutes,
  grantRoutes,
  accessRoutes,
  principalRoutes,
  userRoutes,
  idpUserRoutes,
  idpGroupRoutes,
  roleRoutes,
  policyRoutes,
  identityRoutes,
  moveRoutes,
  hostRoutes,
  enrollRoutes,
  connectorRoutes,
  noticeRoutes,
  notificationChannelRoutes,
  supportAccessRoutes,
]

/** The HTTP API as one fetch handler; the role gives it a listener. */
export function createApp(parts: Parts): App {
  const app: App = new Hono()
  const specs: AnyRouteSpec[] = []
  const limits = createLimits(parts.config)
  const tools = {
    parts,
    authenticate: createAuthenticate(parts, limits),
    limits,
    cursors: createCursors(parts.cursorKey),
    lanes: createLanes(laneWidth, laneLimit),
  }

  app.use(async (context, next) => {
    context.set('trace', traceOf(context.req.raw.headers, context.env?.incoming?.socket.remoteAddress))
    const began = performance.now()
    await next()
    parts.meter?.answered({ ...templateOf(context), status: context.res.status }, (performance.now() - began) / 1_000)
    if (parts.config.dpopNonceRequired && context.req.raw.headers.has('dpop')) context.header('dpop-nonce', parts.nonces.current())
    addAnswerHeaders(context.res.headers, context.env?.incoming?.socket instanceof TLSSocket)
    addCorsHeaders(context.res.headers, context.req.raw, parts.config.corsOrigins)
    // Nobody would ever read it, and an answer that goes on would go on for nobody.
    if (context.req.raw.method === 'HEAD') await context.res.body?.cancel()
  })
  app.use(async (context, next) => {
    refuseOddHeaders(context.env?.incoming)
    await next()
  })
  const refuse = (error: unknown, context: Context<Environment>): Response => {
    const trace = context.get('trace')
    const problem = problemOf(error, trace)
    if (problem.body['code'] === 'decryption-failed') parts.meter?.decryptionFailed()
    const level = problem.status === 503 ? 'warn' : 'error'
    if (problem.status >= 500)
      parts.log[level]({ ...trace, method: context.req.method, path: context.req.routePath, error: scrubError(error) }, 'request failed')
    return respond(new Response(JSON.stringify(problem.body), problem), trace)
  }
  app.onError(refuse)
  app.notFound((context) => refuse(new LeaseholdError('not-found'), context))

  const table: App = new Hono()
  const route: DefineRoute = (spec, handler) => {
    specs.push(spec as unknown as AnyRouteSpec)
    table.on(spec.method.toUpperCase(), spec.path, async (context) => {
      const trace = context.get('trace')
      const decide = () =>
        runRoute(tools, spec, handler, {
          request: context.req.raw,
          params: context.req.param(),
          trace,
          certificate: () => peerCertificate(context.env?.incoming),
        })
      const answer = await (spec.counted === 'checkout' ? countCheckout(parts, decide) : decide()).catch((error: unknown) => {
        parts.observe?.(spec as unknown as AnyRouteSpec, problemOf(error, trace))
        throw error
      })
      if (!(answer instanceof Response)) parts.observe?.(spec as unknown as AnyRouteSpec, answer)
      return respond(answer, trace)
    })
  }
  for (const define of resources) define(route, parts)
  joinRoutes(table, parts, limits)
  breakGlassLoginRoutes(table, parts, limits)
  healthRoutes(table, parts, () => openApiOf(specs, parts.config.apiUrl))
  mountRoutes(app, table.routes, parts.config.corsOrigins)
  return app
}

/** The route that answered, as it was defined: what callers send makes no labels. */
function templateOf(context: Context<Environment>): { method: string; route: string } {
  const found = matchedRoutes(context).find((route) => !route.path.endsWith('*'))
  return found === undefined ? { method: 'any', route: 'none' } : { method: found.method === 'ALL' ? 'any' : found.method, route: found.path }
}

async function countCheckout(parts: Parts, decide: () => Promise<Reply | Response>): Promise<Reply | Response> {
  const began = performance.now()
  const count = (outcome: string) => parts.meter?.checkedOut(outcome, (performance.now() - began) / 1_000)
  try {
    const answer = await decide()
    count(answer.status === 202 ? 'asked' : 'idempotent-replayed' in answer.headers ? 'replayed' : 'granted')
    return answer
  } catch (error) {
    count(error instanceof LeaseholdError ? error.code : 'internal')
    throw error
  }
}
