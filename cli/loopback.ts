import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A port of this machine that waits for the browser to come back from the issuer (RFC 8252 section 7.3). */
export interface Loopback {
  readonly redirectUri: string
  /** The URL that the browser came back with. @throws Error when it does not in time */
  readonly answer: Promise<URL>
  readonly close: () => void
}

/** @param state what our own request carried: who comes with another one is told so, and is not waited for less */
export async function listenForAnswer(state: string, limitMs: number): Promise<Loopback> {
  const { promise: answer, resolve, reject } = Promise.withResolvers<URL>()
  answer.catch(() => {})
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', redirectUri())
    if (request.method !== 'GET' || url.pathname !== '/callback') return say(response, 404, 'There is nothing here.')
    if (url.searchParams.get('state') !== state) return say(response, 400, 'This is not the login that was asked for.')
    say(response, 200, 'Thank you. You may close this page and go back to the command line.')
    resolve(url)
  })
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(0, '127.0.0.1', listening))
  const redirectUri = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`
  const late = setTimeout(() => reject(new Error(`nobody logged in within ${Math.round(limitMs / 60_000)} minutes`)), limitMs)
  return {
    redirectUri: redirectUri(),
    answer,
    close: () => {
      clearTimeout(late)
      server.close()
      // After what is being said is through.
      server.closeIdleConnections()
    },
  }
}

function say(response: ServerResponse, status: number, text: string): void {
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', connection: 'close' }
  response.writeHead(status, headers).end(`${text}\n`)
}
