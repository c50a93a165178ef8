import { createServer, type Server } from 'node:http'
import type { RunningRole } from './role.ts'

/** GET /healthz (the process lives) and /readyz (its servers answer) on a loopback port, for roles without a listener of their own. */
export function listenForHealth(port: number, roles: readonly RunningRole[]): Server {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET' || (path !== '/healthz' && path !== '/readyz')) return void response.writeHead(404).end()
    if (path === '/healthz') return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"ok"}')
    void readiness(roles).then((dependencies) => {
      const ready = Object.values(dependencies).every((state) => state === 'ok')
      response.writeHead(ready ? 200 : 503, { 'content-type': 'application/json' }).end(JSON.stringify({ status: ready ? 'ok' : 'down', dependencies }))
    })
  })
  return server.listen({ port, host: '127.0.0.1' })
}

async function readiness(roles: readonly RunningRole[]) {
  const answers = await Promise.all(roles.map((role) => role.ready().catch(() => ({ self: 'down' as const }))))
  return Object.assign({}, ...answers) as Record<string, 'ok' | 'down'>
}
