import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { createApp } from '#api/app.ts'
import type { Parts } from '#api/parts.ts'
import { boundRequest } from '#cli/bound-request.ts'
import { cliClient } from '#cli/client.ts'
import { logIn, type Login } from '#cli/log-in.ts'
import { listen } from '#server/listener.ts'
import { acme } from '#stack/people.ts'
import { seedAccount } from '#stack/seed-people.ts'
import { generateKeyPair } from 'jose'
import type { CryptoKeyPair } from 'oauth4webapi'
import { createApiWorld } from '../api/world.ts'
import { openBrowser, type Browser, type Knowledge, type Page } from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'
import type { TestProvider } from './provider.ts'

export interface LoggedIn extends Login {
  readonly dpopKey: CryptoKeyPair
  /** What the issuer's pages asked for. */
  readonly asked: Page['asked']
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

/** The API as production has it, believing a real provider, and a person of that provider who may check out one identity. */
export interface ProviderWorld {
  readonly provider: TestProvider
  readonly api: string
  /** An API that is the same but for its audience. */
  readonly otherApi: string
  readonly identityId: string
  readonly vaultId: string
  /** Posts as the account's owner, who is nobody of this provider. @returns the id of what was made */
  readonly make: (path: string, body: object) => Promise<string>
  readonly browser: () => Browser
  /** Logs in as `leasehold login` does. `change`: what happens to the URL on the way to the browser. */
  readonly logIn: (
    at: Browser,
    wanted?: { readonly acr?: string; readonly maxAge?: number; readonly change?: (url: URL) => void; readonly knows?: Knowledge },
  ) => Promise<LoggedIn>
  /** Sends a request with a proof; with a body it is a POST. */
  readonly ask: (who: Pick<LoggedIn, 'accessToken' | 'dpopKey'>, path: string, body?: object, key?: string, at?: string) => Promise<Answer>
  readonly stop: () => Promise<void>
}

export async function createProviderWorld(provider: TestProvider): Promise<ProviderWorld> {
  const world = await createApiWorld()
  const { issuer, person } = provider
  const sam = acme.users.find(({ sub }) => sub === 'sam')
  if (sam === undefined) throw new Error('nobody to be like')
  const user = { ...sam, id: randomUUID(), idpId: randomUUID(), sub: person.sub, email: `${randomUUID()}@acme.example` }
  const client = new pg.Client({ connectionString: world.database.ownerUrl })
  await client.connect()
  await seedAccount(client, { ...acme, users: [user] }, issuer).finally(() => client.end())
  const make = async (path: string, body: object): Promise<string> => {
    const answer = await world.post('mia', path, body)
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`)
    return answer.body.id
  }
  await make(`/v1/identity-groups/${world.vaultId}/grants`, { principal: { type: 'user', id: user.idpId }, level: 'checkout' })
  const strong = { acr: 'mfa', maxAgeSeconds: null }
  const open = async (config: Partial<Parts['config']> = {}) => {
    const port = await freePort()
    const apiUrl = `http://127.0.0.1:${port}`
    const own = { oidcIssuer: issuer, oidcUrl: issuer, apiUrl, audienceFallback: false, dpopNonceRequired: true }
    const stepUp = { ...world.parts.config.stepUp, checkout: strong }
    const app = createApp({ ...world.parts, config: { ...world.parts.config, ...own, stepUp, ...config } })
    return { apiUrl, server: await listen(app.fetch, { host: '127.0.0.1', port, shared: false }) }
  }
  const [api, other] = [await open(), await open({ apiAudience: 'https://other.example/api' })]
  return {
    provider,
    api: api.apiUrl,
    otherApi: other.apiUrl,
    identityId: await world.addIdentity('ledger', { allowConcurrentCheckout: true, maxConcurrentSessions: 3 }),
    vaultId: world.vaultId,
    make,
    browser: openBrowser,
    logIn: async (browser, { change = () => {}, knows, ...wanted } = {}) => {
      const dpopKey = await generateKeyPair('ES256', { extractable: true })
      const known = knows ?? person.knows(wanted.acr === 'mfa')
      const { promise: failed, reject } = Promise.withResolvers<never>()
      let asked: Page['asked'] = []
      const show = (to: string): void => {
        const url = new URL(to)
        change(url)
        void browser.visit(url.href, known).then((page) => {
          asked = page.asked
          if (page.status !== 200 || !page.text.startsWith('Thank you')) reject(new Error(`the login ends with ${page.status}: ${page.text}`))
        }, reject)
      }
      const login = await Promise.race([logIn({ issuer, clientId: cliClient, dpopKey, show, ...wanted }), failed])
      return { ...login, dpopKey, asked }
    },
    ask: async (who, path, body, key = randomUUID(), at = api.apiUrl) => {
      const post =
        body === undefined ? {} : { headers: new Headers({ 'content-type': 'application/json', 'idempotency-key': key }), body: JSON.stringify(body) }
      const response = await boundRequest(who, { method: body === undefined ? 'GET' : 'POST', url: new URL(at + path), ...post })
      return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> }
    },
    stop: async () => {
      for (const { server } of [api, other]) {
        server.closeAllConnections()
        server.close()
      }
      await world.end()
    },
  }
}
