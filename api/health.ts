import { LeaseholdError } from '#schemas/errors.ts'
import type { App } from './app.ts'
import type { Parts } from './parts.ts'
import { respond } from './run-route.ts'

/** What needs no login: liveness, readiness and the description of the API. */
export function healthRoutes(app: App, parts: Parts, openApi: () => Record<string, unknown>): void {
  let description: string | undefined
  const json = (body: unknown, status = 200): Response => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })

  app.get('/healthz', (context) => respond(json({ status: 'ok' }), context.get('trace')))

  app.get('/readyz', async (context) => {
    const states = await Promise.all(
      Object.entries(parts.checks).map(async ([name, check]) => [name, (await check().catch(() => false)) ? 'ok' : 'down'] as const),
    )
    const ready = states.every(([, state]) => state === 'ok')
    return respond(json({ status: ready ? 'ready' : 'not-ready', dependencies: Object.fromEntries(states) }, ready ? 200 : 503), context.get('trace'))
  })

  app.get('/v1/openapi.json', (context) => {
    description ??= JSON.stringify(openApi())
    if (description === undefined) throw new LeaseholdError('internal')
    return respond(new Response(description, { headers: { 'content-type': 'application/json' } }), context.get('trace'))
  })
}
