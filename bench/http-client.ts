import { randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import type { AccessHeaders } from './person.ts'

export interface HttpAnswer {
  readonly status: number
  readonly body: string
}

/** A client that costs little itself: it shares its two cores with what it measures. Connections are kept open, one per lane. */
export interface HttpClient {
  get(path: string, headers: AccessHeaders): Promise<HttpAnswer>
  post(path: string, body: string, headers: AccessHeaders): Promise<HttpAnswer>
  close(): void
}

/** @param baseUrl base URL without trailing slash */
export function createHttpClient(baseUrl: string): HttpClient {
  const { hostname, port } = new URL(baseUrl)
  const agent = new Agent({ keepAlive: true, scheduling: 'lifo' })
  const send = (method: string, path: string, headers: Record<string, string | number>, body = ''): Promise<HttpAnswer> =>
    new Promise((resolve, reject) => {
      const call = request({ agent, hostname, port, path, method, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => (text += part))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
        response.on('error', reject)
      })
      call.on('error', reject)
      call.end(body)
    })
  return {
    get: (path, headers) => send('GET', path, { ...headers }),
    post: (path, body, headers) =>
      send('POST', path, { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'idempotency-key': randomUUID() }, body),
    close: () => agent.destroy(),
  }
}
