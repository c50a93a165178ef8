import { createServer, type Server } from 'node:http'
import { answerHeaders } from '#api/answer-headers.ts'
import { contentType, type Metrics } from './metrics/metrics.ts'
import type { RunningRole } from './role.ts'

type Answer = { readonly status: number; readonly type: string; readonly body: string }

const json = (status: number, body: unknown): Answer => ({ status, type: 'application/json', body: JSON.stringify(body) })

/**
 * GET /healthz (the process lives), /readyz (its servers answer) and /metrics on a loopback port: for operators, who have an
 * account on the machine, and for nobody who only reaches the API.
 */
export function listenForHealth(port: number, roles: readonly RunningRole[], metrics: Metrics): Server {
  const answers: Readonly<Record<string, () => Promise<Answer>>> = {
    '/healthz': async () => json(200, { status: 'ok' }),
    '/readyz': async () => {
      const dependencies = await readiness(roles)
      const ready = Object.values(dependencies).every((state) => state === 'ok')
      return json(ready ? 200 : 503, { status: ready ? 'ok' : 'down', dependencies })
    },
    '/metrics': async () => ({ status: 200, type: contentType, body: await metrics.render() }),
  }
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    const answer = request.method === 'GET' && Object.hasOwn(answers, path) ? answers[path] : undefined
    if (answer === undefined) return void response.writeHead(404, answerHeaders).end()
    answer().then(
      ({ status, type, body }) => response.writeHead(status, { ...answerHeaders, 'content-type': type }).end(body),
      () => response.writeHead(500, answerHeaders).end(),
    )
  })
  return server.listen({ port, host: '127.0.0.1' })
}

async function readiness(roles: readonly RunningRole[]) {
  const answers = await Promise.all(roles.map((role) => role.ready().catch(() => ({ self: 'down' as const }))))
  return Object.assign({}, ...answers) as Record<string, 'ok' | 'down'>
}
