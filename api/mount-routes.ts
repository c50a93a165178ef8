import { LeaseholdError } from '#schemas/errors.ts'
import type { App } from './app.ts'
import { isPreflight, preflightAnswer } from './cors.ts'
import { respond } from './run-route.ts'

/**
 * Puts routes on the app path by path, a name before a parameter in its place. Behind the routes of a path stands what answers
 * everything else there: a browser that asks before it sends, or 405 with `Allow`. So no path is taken for an item of another.
 */
export function mountRoutes(app: App, routes: App['routes'], corsOrigins: readonly string[]): void {
  const paths = Map.groupBy(routes, ({ path }) => path)
  // No letter comes behind a tilde.
  const names = [...paths.keys()].sort((one, other) => (one.replaceAll(':', '~') < other.replaceAll(':', '~') ? -1 : 1))
  for (const path of names) {
    const here = paths.get(path) ?? []
    for (const { method, handler } of here) app.on(method, path, handler)
    const allow = here.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    app.all(path, (context) => {
      if (!isPreflight(context.req.raw, corsOrigins)) throw new LeaseholdError('method-not-allowed', { allow })
      return respond(preflightAnswer(allow), context.get('trace'))
    })
  }
}
