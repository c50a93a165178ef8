import { randomBytes } from 'node:crypto'
import { chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exportJWK, generateKeyPair } from 'jose'
import * as oauth from 'oauth4webapi'
import pg from 'pg'
import type { RoleName } from '#server/config.ts'
import { createTrust } from '#server/trust.ts'
import { cacheFolders, resolveProgram, serverPrograms } from '#stack/binaries.ts'
import { createAuthority, issue, type Authority, type Issued } from '#stack/certificates.ts'
import { readHome, writePrivate, type Home } from '#stack/home.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { freePort } from '../support/free-port.ts'
import { startNats } from '../support/nats.ts'
import { startProgram, type RunningProgram } from '../support/program.ts'
import { startShamirOpenBao, type ShamirOpenBao } from '../support/shamir-openbao.ts'
import { startTlsProxy } from '../support/tls-proxy.ts'
import type { IssuerSettings } from '../support/external-issuer.ts'

const root = path.join(import.meta.dirname, '../..')
export const audience = 'https://leasehold.local/api'

/** Servers as an operator would run them, and our roles in production mode on them. */
export interface ProductionWorld {
  /** The stack whose PostgreSQL, Temporal and target are used; everything else of it stands for a development stack. */
  readonly stack: Stack
  readonly home: Home
  readonly authority: Authority
  readonly caFile: string
  readonly bao: ShamirOpenBao
  readonly apiUrl: string
  readonly reach: typeof fetch
  /** Calls as the owner of the account, with a token that is bound to a key. */
  readonly asOwner: typeof fetch
  /** The same token, without the key. */
  readonly ownerToken: string
  readonly roles: Readonly<Record<RoleName, RunningProgram & { readonly healthPort: number }>>
  /** The environment of a role in production mode. */
  readonly environment: (role: RoleName, port: number) => Record<string, string>
  /** A role process with another environment; it need not come up. */
  readonly startRole: (role: RoleName, env: Readonly<Record<string, string>>) => RunningProgram
  readonly startConnector: (joinToken: string, allow: string) => Promise<RunningProgram>
  readonly end: () => Promise<void>
}

export async function startProduction(): Promise<ProductionWorld> {
  const ends: (() => Promise<unknown>)[] = []
  const end = async (): Promise<void> => {
    for (const stop of ends.toReversed()) await stop()
  }
  const [authority, stack] = await Promise.all([createAuthority('an operator'), startStack({ roles: false })])
  ends.push(stack.stop)
  try {
    return await build(authority, stack, ends, end)
  } catch (error) {
    await end()
    throw error
  }
}

async function build(authority: Authority, stack: Stack, ends: (() => Promise<unknown>)[], end: () => Promise<void>): Promise<ProductionWorld> {
  const home = readHome(stack.home) as Home
  const [server, { fetch: reach }] = [await issue(authority, ['127.0.0.1']), createTrust(authority.cert)]
  const caFile = home.file('production', 'ca.pem')
  for (const [name, value] of Object.entries({ 'ca.pem': authority.cert, 'server.pem': server.cert, 'server.key': server.key }))
    writePrivate(home.file('production', name), value)
  const find = (name: keyof typeof serverPrograms): string => resolveProgram(serverPrograms[name], cacheFolders(home))
  process.env['LEASEHOLD_TEST_NATS'] ??= find('nats')

  const bao = await startShamirOpenBao({ program: find('openbao'), certificate: server, fetch: reach })
  ends.push(bao.stop)
  const temporal = await startTlsProxy({ port: Number(stack.urls.temporal.split(':')[1]), ...server, protocols: ['h2'] })
  ends.push(temporal.end)
  await securePostgres(stack, home, server)
  const issuer = await startIssuer(home, server, reach)
  ends.push(issuer.stop)
  const postgresUrl = `${stack.urls.postgres.replace(/leasehold$/, 'installed')}?sslmode=verify-full`
  const install = home.file('production', 'install')
  const installation = {
    LEASEHOLD_CA_FILE: caFile,
    LEASEHOLD_POSTGRES_URL: postgresUrl,
    LEASEHOLD_OPENBAO_URL: bao.url,
    LEASEHOLD_OIDC_ISSUER: issuer.url,
    LEASEHOLD_INSTALL_SECRETS_FILE: home.file('production', 'secrets.json'),
    LEASEHOLD_INSTALL_FOLDER: install,
    LEASEHOLD_ACCOUNT_NAME: 'prod',
    LEASEHOLD_OWNER_SUB: 'mia',
    LEASEHOLD_OWNER_EMAIL: 'mia@prod.example',
    LEASEHOLD_OWNER_NAME: 'Mia',
  }
  const { password } = new URL(stack.superuserUrl)
  writePrivate(installation.LEASEHOLD_INSTALL_SECRETS_FILE, {
    postgres: { user: 'postgres', password: decodeURIComponent(password) },
    openbao: { roleId: bao.boot.bootRoleId, secretId: bao.boot.bootSecretId },
  })
  // Twice, because an upgrade is an installation too.
  for (let time = 0; time < 2; time += 1) {
    const installing = startProgram(process.execPath, [path.join(root, 'server/install.ts')], installation)
    if ((await installing.ended) !== 0) throw new Error(`the installation failed: ${installing.output()}`)
  }
  const nats = await startNats(readFileSync(path.join(install, 'operator.conf'), 'utf8'), server)
  ends.push(nats.stop)

  const apiPort = await freePort()
  const apiUrl = `https://127.0.0.1:${apiPort}`
  const environment = (role: RoleName, port: number): Record<string, string> => ({
    LEASEHOLD_MODE: 'production',
    LEASEHOLD_CREDENTIALS_FILE: path.join(install, `${role}.json`),
    LEASEHOLD_CA_FILE: caFile,
    LEASEHOLD_POSTGRES_URL: postgresUrl,
    LEASEHOLD_TEMPORAL_ADDRESS: `127.0.0.1:${temporal.port}`,
    LEASEHOLD_TEMPORAL_TLS: 'true',
    LEASEHOLD_NATS_URL: nats.url,
    LEASEHOLD_OPENBAO_URL: bao.url,
    LEASEHOLD_OIDC_ISSUER: issuer.url,
    LEASEHOLD_API_AUDIENCE: audience,
    LEASEHOLD_API_URL: apiUrl,
    LEASEHOLD_API_PORT: String(apiPort),
    LEASEHOLD_TLS_CERT_FILE: home.file('production', 'server.pem'),
    LEASEHOLD_TLS_KEY_FILE: home.file('production', 'server.key'),
    LEASEHOLD_HEALTH_PORT: String(port),
    LEASEHOLD_CACHE_DIRECTORY: home.file('cache'),
  })
  const startRole: ProductionWorld['startRole'] = (role, env) => startProgram(process.execPath, [path.join(root, 'server/main.ts'), '--roles', role], env)
  const startReady = async (role: RoleName) => {
    const healthPort = await freePort()
    const program = startRole(role, environment(role, healthPort))
    ends.push(program.stop)
    await untilReady(program, healthPort)
    return { ...program, healthPort }
  }
  const [api, worker, bridge] = await Promise.all([startReady('api'), startReady('worker'), startReady('bridge')])

  const startConnector = async (joinToken: string, allow: string): Promise<RunningProgram> => {
    const folder = home.file('production', 'connector')
    writePrivate(home.file('production', 'join-token'), joinToken)
    const main = [path.join(root, 'connector/main.ts'), '--home', folder]
    const joining = startProgram(
      process.execPath,
      [...main, 'join', '--url', apiUrl, '--token-file', home.file('production', 'join-token'), '--allow', allow],
      { LEASEHOLD_CA_FILE: caFile },
    )
    if ((await joining.ended) !== 0) throw new Error(`the connector did not join: ${joining.output()}`)
    const running = startProgram(process.execPath, [...main, 'run'], { LEASEHOLD_CA_FILE: caFile })
    ends.push(running.stop)
    return running
  }
  return {
    stack,
    home,
    authority,
    caFile,
    bao,
    apiUrl,
    reach,
    ...(await issuer.logIn()),
    roles: { api, worker, bridge },
    environment,
    startRole,
    startConnector,
    end,
  }
}

async function untilReady(program: RunningProgram, port: number): Promise<void> {
  const limit = performance.now() + 60_000
  let gone = false
  void program.ended.then(() => (gone = true))
  for (;;) {
    const status = await fetch(`http://127.0.0.1:${port}/readyz`).then(
      (response) => response.status,
      () => 0,
    )
    if (status === 200) return
    if (gone || performance.now() > limit) throw new Error(`a role did not become ready:\n${program.output()}`)
    await sleep(100)
  }
}

/** Switches TLS on in the running PostgreSQL and lets our roles in over nothing else. */
async function securePostgres(stack: Stack, home: Home, { cert, key }: Issued): Promise<void> {
  const data = path.join(home.postgresPlace, 'postgres')
  const { uid, gid } = statSync(data)
  for (const [name, value] of Object.entries({ 'server.crt': cert, 'server.key': key })) {
    writeFileSync(path.join(data, name), value, { mode: 0o600 })
    chownSync(path.join(data, name), uid, gid)
  }
  writeFileSync(path.join(data, 'pg_hba.conf'), 'host all postgres 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n')
  const client = new pg.Client(stack.superuserUrl)
  await client.connect()
  for (const setting of [`ssl = on`, `ssl_min_protocol_version = 'TLSv1.3'`]) await client.query(`alter system set ${setting}`)
  await client.query('select pg_reload_conf()')
  await client.end()
}

interface RunningIssuer {
  readonly url: string
  readonly logIn: () => Promise<Pick<ProductionWorld, 'asOwner' | 'ownerToken'>>
  readonly stop: () => Promise<void>
}

async function startIssuer(home: Home, server: Issued, reach: typeof fetch): Promise<RunningIssuer> {
  const port = await freePort()
  const url = `https://127.0.0.1:${port}`
  const owner = { id: 'mia', secret: randomBytes(32).toString('base64url') }
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const signingKey = { ...(await exportJWK(privateKey)), kid: 'k1', alg: 'ES256', use: 'sig' }
  const file = home.file('production', 'issuer.json')
  mkdirSync(path.dirname(file), { recursive: true })
  writePrivate(file, { issuer: url, port, audience, ...server, signingKey, clients: [owner] } satisfies IssuerSettings)
  const program = startProgram(process.execPath, [path.join(root, 'test/support/external-issuer.ts'), file], {})
  return {
    url,
    stop: program.stop,
    logIn: async () => {
      const client: oauth.Client = { client_id: owner.id }
      const server: oauth.AuthorizationServer = { issuer: url, token_endpoint: `${url}/token` }
      const options = { DPoP: oauth.DPoP(client, await oauth.generateKeyPair('ES256')), [oauth.customFetch]: (to: string, init: object) => reach(to, init) }
      const answer = await oauth.clientCredentialsGrantRequest(server, client, oauth.ClientSecretBasic(owner.secret), { scope: 'leasehold' }, options)
      const { access_token: ownerToken } = (await answer.json()) as { access_token: string }
      const asOwner: typeof fetch = (input, { method = 'GET', headers, body } = {}) => {
        const others = new Headers(headers)
        others.delete('authorization')
        const ask = () => oauth.protectedResourceRequest(ownerToken, method, new URL(String(input)), others, body as string | undefined, options)
        // The first answer brings the nonce (RFC 9449 section 8), and so does the first one of another minute.
        return ask().catch((error: unknown) => {
          if (!oauth.isDPoPNonceError(error)) throw error
          return ask()
        })
      }
      return { asOwner, ownerToken }
    },
  }
}
