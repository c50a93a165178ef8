import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Login, Target } from '#connector/adapters/adapter.ts'
import { keyIdOf } from '#connector/http-template.ts'
import type { HttpCalls } from '#schemas/http-calls.ts'
import { createAuthority, issue } from '#stack/certificates.ts'

/**
 * A small API with keys, over TLS: `PUT /accounts/{name}/key` replaces the key of an account, `POST /accounts/{name}/keys` adds one,
 * `DELETE /accounts/{name}/keys/{id}` takes one away, `POST /whoami` and `GET /me` say whether a key is one of an account.
 */
export interface KeyStore {
  readonly target: Target
  /** The same with calls by which an account has two keys for a moment. */
  readonly twoKeys: Target
  readonly admin: Login
  /** Another authority's certificate, that is not of this server. */
  readonly foreignAuthority: string
  readonly create: (username?: string) => Login
  /** Keys that the account has, from the table itself. */
  readonly keysOf: (username: string) => readonly string[]
  /** Everything that stood in a request line or was logged. */
  readonly lines: readonly string[]
  readonly end: () => Promise<void>
}

const who = { authorization: 'Basic {as.basic}' } as const

export const replacing: HttpCalls = {
  set: { method: 'PUT', path: '/accounts/{username}/key', headers: who, json: { key: { value: '{value}', note: 'set by leasehold' } }, policyRefused: [422] },
  verify: { method: 'POST', path: '/whoami', json: { account: '{username}', key: '{value}' } },
}
export const adding: HttpCalls = {
  set: {
    method: 'POST',
    path: '/accounts/{username}/keys',
    headers: who,
    json: { id: '{keyId}', value: '{value}' },
    done: [201, 409],
    policyRefused: [422],
  },
  verify: replacing.verify,
  revoke: { method: 'DELETE', path: '/accounts/{username}/keys/{keyId}', headers: who, done: [204, 404] },
}

type Respond = (status: number, headers?: Record<string, string>) => void

export async function startKeyStore(): Promise<KeyStore> {
  const [authority, foreign] = await Promise.all([createAuthority('targets'), createAuthority('another one')])
  const admin = { username: 'keeper', password: 'the keeper of keys' }
  const accounts = new Map<string, string[]>()
  const lines: string[] = []
  const isAllowed = (authorization: string | undefined, username: string): boolean => {
    const [name = '', ...rest] = Buffer.from(authorization?.replace(/^Basic /, '') ?? '', 'base64')
      .toString()
      .split(':')
    const key = rest.join(':')
    return (name === admin.username && key === admin.password) || (name === username && accounts.get(name)?.includes(key) === true)
  }

  /** What the store does with keys of an account, when whoever asks may. */
  function change(keys: string[], method: string, { id, value }: { readonly id: string | undefined; readonly value: string }): number {
    if (method === 'DELETE') {
      const at = keys.findIndex((key) => keyIdOf(key) === id)
      if (at < 0) return 404
      keys.splice(at, 1)
      return 204
    }
    if (value.includes('refused')) return 422
    if (method === 'PUT') return keys.splice(0, keys.length, value) && 204
    return keys.includes(value) ? 409 : keys.push(value) && 201
  }

  function answer(method: string, url: string, { authorization, body, respond }: { authorization: string | undefined; body: string; respond: Respond }): void {
    const said = body === '' ? {} : (JSON.parse(body) as { account?: string; key?: string | { value: string }; value?: string })
    if (url === '/moved') return respond(307, { location: '/whoami' })
    if (url === '/me') return respond([...accounts.values()].flat().includes(authorization?.replace(/^Bearer /, '') ?? '') ? 200 : 401)
    if (url === '/whoami') return respond(accounts.get(said.account ?? '')?.includes(String(said.key)) === true ? 200 : 401)
    const [, encoded = '', , id] = /^\/accounts\/([^/]+)\/(keys?)(?:\/([^/]+))?$/.exec(url) ?? []
    const username = decodeURIComponent(encoded)
    if (!isAllowed(authorization, username)) return respond(401)
    const keys = accounts.get(username)
    if (keys === undefined) return respond(404)
    respond(change(keys, method, { id, value: said.value ?? (said.key as { value: string } | undefined)?.value ?? '' }))
  }

  const server: Server = createServer(await issue(authority, ['127.0.0.1']), (request, response) => {
    lines.push(`${request.method} ${request.url}`)
    let body = ''
    request.setEncoding('utf8').on('data', (part: string) => (body += part))
    request.on('end', () => {
      // It answers with what it was told, as some do.
      const respond: Respond = (status, headers = {}) => void response.writeHead(status, headers).end(status === 204 ? undefined : body)
      answer(request.method ?? '', request.url ?? '', { authorization: request.headers.authorization, body, respond })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const at = (calls: HttpCalls): Target => ({
    address: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    parameters: { ca: authority.cert, calls },
  })
  return {
    target: at(replacing),
    twoKeys: at(adding),
    admin,
    foreignAuthority: foreign.cert,
    create: (username = `app-${Math.random().toString(36).slice(2, 10)}`) => {
      const password = `first key of ${username.length} ${Math.random()}`
      accounts.set(username, [password])
      return { username, password }
    },
    keysOf: (username) => accounts.get(username) ?? [],
    lines,
    end: () => new Promise((resolve) => void (server.close(() => resolve()), server.closeAllConnections())),
  }
}
