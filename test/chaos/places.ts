import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { readIdentity, writeIdentity } from '#connector/identity-file.ts'
import { expectStatus } from '#stack/api-client.ts'
import { readHome } from '#stack/home.ts'
import type { Stack } from '#stack/test-stack.ts'
import { targetOf } from '../connector/ssh-world.ts'
import { startCutProxy, type CutProxy } from '../support/cut-proxy.ts'
import { openLinuxAccounts } from '../support/linux-accounts.ts'
import { slapdMissing, startSlapd } from '../support/slapd.ts'
import { sshdMissing, startSshd } from '../support/sshd.ts'
import { postgresLogsIn } from './postgres-login.ts'
import { insist } from './scene.ts'
import type { Login, Place, Vault } from './target.ts'

/** A real server that can be a place. */
interface Server extends Pick<Place, 'create' | 'set' | 'logsIn' | 'require'> {
  readonly name: string
  readonly adapter: string
  readonly at: { readonly address: string; readonly port: number; readonly parameters: Readonly<Record<string, unknown>> }
  readonly admin: Login | { readonly identityId: string }
  readonly end: () => Promise<void>
}

export interface Places {
  readonly places: readonly Place[]
  /** Kinds of places that this machine cannot have, and why. */
  readonly missing: ReadonlyMap<string, string>
  readonly end: () => Promise<void>
}

/** In this order: Linux accounts are named by whoever makes them, and the other places take the name. */
const kinds: Readonly<Record<string, { readonly missing: () => string | undefined; readonly start: (stack: Stack, vault: Vault) => Promise<Server> }>> = {
  linux: { missing: sshdMissing, start: linuxServer },
  postgres: { missing: () => undefined, start: postgresServer },
  ldap: { missing: slapdMissing, start: ldapServer },
}

/**
 * Starts the servers that this machine can have, and makes each a host of the stack: the stack's own PostgreSQL, an sshd with
 * accounts of this machine, an OpenLDAP. The connector's owner lets it dial them.
 *
 * @param wanted names; absent: all of them
 */
export async function openPlaces(stack: Stack, vault: Vault, wanted: readonly string[] = Object.keys(kinds)): Promise<Places> {
  const missing = new Map<string, string>()
  const starts = wanted.flatMap((name) => {
    const kind = kinds[name]
    const why = kind === undefined ? 'there is no such target' : kind.missing()
    if (why !== undefined) missing.set(name, why)
    return kind === undefined || why !== undefined ? [] : [kind.start]
  })
  const started = await Promise.allSettled(starts.map((start) => start(stack, vault)))
  const servers = started.flatMap((server) => (server.status === 'fulfilled' ? [server.value] : []))
  const lines: CutProxy[] = []
  const end = async (): Promise<void> => {
    for (const line of lines) await line.end()
    for (const server of servers) await server.end()
  }
  try {
    for (const server of started) if (server.status === 'rejected') throw server.reason
    for (const { at } of servers) lines.push(await startCutProxy({ host: at.address, port: at.port }))
    if (lines.length > 0)
      await allow(
        stack,
        lines.map(({ port }) => `127.0.0.1:${port}`),
      )
    const places: Place[] = []
    for (const [index, server] of servers.entries()) {
      const line = lines[index] as CutProxy
      const hostId = await makeHost(vault, server, line.port)
      const { name, create, set, logsIn, require } = server
      places.push({ name, hostId, line, create, set, logsIn, ...(require === undefined ? {} : { require }) })
    }
    return { places, missing, end }
  } catch (error) {
    await end()
    throw error
  }
}

async function allow(stack: Stack, entries: readonly string[]): Promise<void> {
  await stack.hold('connector')
  const home = readHome(stack.home)?.file('connector') as string
  const identity = readIdentity(home)
  if (identity === undefined) throw new Error('the connector has not joined')
  writeIdentity(home, { ...identity, allow: [...identity.allow, ...entries] })
  await stack.restart('connector')
}

async function makeHost({ mia, vaultId }: Vault, { name, adapter, at, admin }: Server, port: number): Promise<string> {
  const api = await mia()
  const make = async (path: string, body: object): Promise<string> => expectStatus(await api.post<{ id: string }>(path, body), 201).id
  const [target] = (await insist(() => api.get<{ items: { organizationId: string; connectorId: string }[] }>('/v1/hosts?limit=1'), 200)).items
  if (target === undefined) throw new Error('the stack has no host')
  const adminIdentityId =
    'identityId' in admin
      ? admin.identityId
      : await make('/v1/identities', {
          identityGroupId: vaultId,
          name: `admin of ${name}`,
          username: admin.username,
          credentialType: 'password',
          credential: admin.password,
          exposure: 'inject_only',
        })
  const { organizationId, connectorId } = target
  return make('/v1/hosts', { organizationId, name, address: '127.0.0.1', port, adapter, connectorId, adminIdentityId, parameters: at.parameters })
}

async function linuxServer(): Promise<Server> {
  const accounts = openLinuxAccounts()
  const sshd = await startSshd()
  return {
    name: 'linux',
    adapter: 'ssh',
    at: targetOf(sshd),
    admin: accounts.create({ sudo: true }),
    create: async () => accounts.create(),
    set: async (login) => accounts.set(login),
    logsIn: ({ username, password }) => sshd.logsIn(username, password),
    end: async () => {
      await sshd.end()
      accounts.end()
    },
  }
}

async function ldapServer(): Promise<Server> {
  const slapd = await startSlapd()
  return {
    name: 'ldap',
    adapter: 'ldap',
    at: slapd.target,
    admin: slapd.admin,
    create: (as) => slapd.create(as?.username, as?.password),
    set: slapd.set,
    logsIn: slapd.logsIn,
    require: slapd.require,
    end: slapd.end,
  }
}

async function postgresServer(stack: Stack, { mia }: Vault): Promise<Server> {
  const { hostname: address, port } = new URL(stack.urls.target)
  const asSuperuser = async (statement: (client: pg.Client) => string): Promise<void> => {
    const client = new pg.Client(stack.targetSuperuserUrl)
    await client.connect()
    await client.query(statement(client)).finally(() => client.end())
  }
  const api = await mia()
  const { items } = await insist(() => api.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
  const admin = items.find(({ name }) => name === 'target-admin')
  if (admin === undefined) throw new Error('the stack has no admin of its target')
  return {
    name: 'postgres',
    adapter: 'postgres',
    at: { address, port: Number(port), parameters: {} },
    admin: { identityId: admin.id },
    create: async (as = { username: `chaos-${randomBytes(6).toString('hex')}`, password: randomBytes(12).toString('base64url') }) => {
      await asSuperuser((client) => `create role ${client.escapeIdentifier(as.username)} login password ${client.escapeLiteral(as.password)}`)
      return as
    },
    set: ({ username, password }) => asSuperuser((client) => `alter role ${client.escapeIdentifier(username)} password ${client.escapeLiteral(password)}`),
    logsIn: postgresLogsIn(stack),
    end: async () => {},
  }
}
