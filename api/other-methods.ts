import { LeaseholdError } from '#schemas/errors.ts'
import type { App } from './app.ts'
import { isPreflight, preflightAnswer } from './cors.ts'
import { respond } from './run-route.ts'

/**
 * What no route took, on the path of one: a browser that asks before it sends, or a method that there is none of (405 with
 * `Allow`). Routes that are defined later on the same paths are not reached.
 */
export function refuseOtherMethods(app: App, corsOrigins: readonly string[]): void {
  const methods = new Map<string, Set<string>>()
  for (const { path, method } of app.routes.filter((route) => route.method !== 'ALL')) {
    const known = methods.get(path) ?? new Set()
    for (const name of method === 'GET' ? ['GET', 'HEAD'] : [method]) known.add(name)
    methods.set(path, known)
  }
  for (const [path, known] of methods) {
    const allow = [...known]
    app.all(path, (context) => {
      if (!isPreflight(context.req.raw, corsOrigins)) throw new LeaseholdError('method-not-allowed', { allow })
      return respond(preflightAnswer(allow), context.get('trace'))
    })
  }
}
