import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { createOpenBao, type OpenBao } from '#secrets/openbao.ts'

const [token, payload, secretId] = ['s.token-of-this-process', 'plaintext-of-a-secret', 'secret-id-of-this-process']
const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** A server in the place of OpenBao that lets everybody log in and answers everything else as told. */
async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ url: string; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = []
  const server = createServer((request, response) => {
    asked.push(request)
    if (request.url === '/v1/auth/approle/login') response.end(JSON.stringify({ auth: { client_token: token, lease_duration: 3600 } }))
    else answer(request, response)
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

const clientOf = (url: string): OpenBao => createOpenBao({ url, roleId: 'role', secretId })
const write = (url: string) =>
  clientOf(url)
    .write(['leasehold', 'data', 'x'], { data: payload })
    .then(
      () => undefined,
      (error: unknown) => error,
    )
const unavailable = { code: 'dependency-unavailable', facts: { role: 'openbao' } }

function expectNothingShown(error: unknown): void {
  const shown = [
    inspect(error, { depth: null, showHidden: true }),
    JSON.stringify(error),
    JSON.stringify(Object.getOwnPropertyDescriptors(error)),
    (error as Error).stack,
  ].join()
  for (const value of [token, payload, secretId]) expect(shown).not.toContain(value)
}

describe('a call to OpenBao', () => {
  test.each([301, 302, 303, 307, 308])('never follows a redirect (%d) and shows its token to nobody else', async (status) => {
    const thief = await listen((_request, response) => response.end('{}'))
    const { url } = await listen((_request, response) => response.writeHead(status, { location: `${thief.url}/v1/leasehold/data/x` }).end())
    const error = await write(url)
    expect(error).toMatchObject(unavailable)
    expect(thief.asked).toEqual([])
    expectNothingShown(error)
  })

  test.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    ['does not answer', () => {}],
    ['answers its head only', (_request, response) => response.writeHead(200).flushHeaders()],
    ['sends byte after byte without an end', (_request, response) => void setInterval(() => response.write(' '), 100).unref()],
  ])('ends within 2 s when the server %s', async (_what, answer) => {
    const { url } = await listen(answer)
    const start = performance.now()
    const error = await write(url)
    expect(error).toMatchObject(unavailable)
    expect(performance.now() - start).toBeLessThan(2_000)
    expectNothingShown(error)
  })

  test.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    ['cuts the connection', (request) => void request.socket.destroy()],
    ['is sealed', (_request, response) => void response.writeHead(503).end(`{"errors":["Vault is sealed ${payload}"]}`)],
    ['is overloaded', (_request, response) => void response.writeHead(429).end()],
    ['fails', (_request, response) => void response.writeHead(500).end(payload)],
    ['answers something else than JSON', (_request, response) => void response.end(`<html>${payload}`)],
  ])('is unavailable, without any value, when the server %s', async (_what, answer) => {
    const error = await write((await listen(answer)).url)
    expect(error).toMatchObject(unavailable)
    expectNothingShown(error)
  })

  test('is unavailable when nobody listens', async () => {
    const { url } = await listen(() => {})
    const [server] = servers.splice(0)
    server?.close()
    expect(await write(url)).toMatchObject(unavailable)
  })

  test('that is refused says the status and not what OpenBao repeats of the request', async () => {
    const { url } = await listen((_request, response) => response.writeHead(400).end(JSON.stringify({ errors: [`bad value ${payload}`], token })))
    const error = await write(url)
    expect((error as Error).message).toBe('OpenBao answered 400')
    expectNothingShown(error)
  })

  test.each(['..', '.', '', 'a/b', '..&#x2F;x', '%2e%2e', 'a?version=1', 'a#b', 'a b', 'ä', 'a\\b', '{{x}}', 'x'.repeat(201)])(
    'with the path segment %j goes nowhere',
    async (segment) => {
      const { url, asked } = await listen((_request, response) => response.end('{}'))
      const bao = clientOf(url)
      for (const call of [bao.read(['leasehold', segment, 'x']), bao.write(['leasehold', segment], {}), bao.list([segment])])
        await expect(call).rejects.toThrow(TypeError)
      expect(asked.map(({ url: path }) => path).filter((path) => path !== '/v1/auth/approle/login')).toEqual([])
    },
  )
})

describe('the login', () => {
  test('is one, however many calls wait for it', async () => {
    const { url, asked } = await listen((_request, response) => response.end('{"data":{}}'))
    const bao = clientOf(url)
    await Promise.all(Array.from({ length: 20 }, () => bao.read(['leasehold', 'data', 'x'])))
    expect(asked.filter((request) => request.url === '/v1/auth/approle/login')).toHaveLength(1)
    expect(asked.filter((request) => request.headers['x-vault-token'] === token)).toHaveLength(20)
  })

  test('is repeated once when the token is refused, not for ever', async () => {
    const { url, asked } = await listen((_request, response) => response.writeHead(403).end('{}'))
    await expect(clientOf(url).read(['leasehold', 'data', 'x'])).rejects.toThrow('OpenBao answered 403')
    expect(asked.map((request) => request.url)).toEqual(['/v1/auth/approle/login', '/v1/leasehold/data/x', '/v1/auth/approle/login', '/v1/leasehold/data/x'])
  })
})
