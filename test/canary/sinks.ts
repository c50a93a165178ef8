import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { NatsConnection } from 'nats'
import pg from 'pg'
import { systemRights } from '#connector-bridge/identity/claims.ts'
import { natsKey, natsKeyNames } from '#connector-bridge/identity/nats-key.ts'
import { logIn } from '#connector-bridge/identity/user-login.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createTransit } from '#secrets/transit.ts'
import { readHome, readJson, type Home } from '#stack/home.ts'
import { credentialsFile } from '#stack/role-credentials.ts'
import type { Stack } from '#stack/test-stack.ts'
import type { Sink } from './needles.ts'

/** All rows of all tables, as text; bytes are hexadecimal in it. */
export async function databaseSinks(stack: Stack): Promise<Sink[]> {
  const client = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      `select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1`,
    )
    const sinks: Sink[] = []
    for (const { name } of rows) {
      const { rows: lines } = await client.query<{ line: string }>(`select t::text as line from ${client.escapeIdentifier(name)} t`)
      sinks.push({ name: `table ${name}`, bytes: Buffer.from(lines.map(({ line }) => line).join('\n')) })
    }
    return sinks
  } finally {
    await client.end()
  }
}

/** What lies in files: Temporal's database, logs of all processes, OpenBao's audit log, NATS' store, the connector's home without its identity. */
export function fileSinks(stack: Stack): Sink[] {
  const files = ['temporal', 'logs', 'openbao/audit.log', 'nats', 'connector'].flatMap((place) => filesIn(path.join(stack.home, place)))
  // Its private keys are in there and nowhere else.
  return files.filter((file) => path.basename(file) !== 'connector.json').map((file) => ({ name: path.relative(stack.home, file), bytes: readFileSync(file) }))
}

function filesIn(place: string): string[] {
  if (!existsSync(place)) return []
  if (path.extname(place) === '.log' || path.extname(place) === '.json') return [place]
  return readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
}

/** Arguments and environment of every process of the stack, and of what it started. */
export async function processSinks(stack: Stack, more: readonly number[] = []): Promise<Sink[]> {
  const pids = (await stack.processes()).flatMap(({ pid }) => (pid === null ? [] : [pid]))
  const all = new Set([...pids, ...more])
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${entry}/status`).toString())?.[1])
    if (all.has(parent)) all.add(Number(entry))
  }
  return [...all].flatMap((pid) => ['cmdline', 'environ'].map((kind) => ({ name: `${kind} of a process`, bytes: read(`/proc/${pid}/${kind}`) })))
}

/** A process may end while it is read. */
function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch {
    return Buffer.alloc(0)
  }
}

export interface NatsTap {
  /** Everything that was said until now: subjects, headers and bodies. */
  readonly sink: () => Sink
  readonly publish: (subject: string, text: string) => Promise<void>
  readonly close: () => Promise<void>
}

/** Hears everything in the accounts of all organizations, with rights that nobody of ours has. */
export async function tapNats(stack: Stack): Promise<NatsTap> {
  const { openbao } = readJson<{ openbao: { roleId: string; secretId: string } }>(credentialsFile(readHome(stack.home) as Home, 'bridge'))
  const transit = createTransit(createOpenBao({ url: stack.urls.openbao, ...openbao }))
  const client = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
  await client.connect()
  const { rows } = await client
    .query<{ organization_id: string; public_key: string }>('select organization_id, public_key from nats_account')
    .finally(() => client.end())
  const heard: Buffer[] = []
  const connections: NatsConnection[] = []
  for (const { organization_id: organization, public_key: account } of rows) {
    const signer = await natsKey(transit, natsKeyNames.organizationSigning(organization), 'account')
    const rights = (publicKey: string) => ({ name: 'tap', publicKey, account, publish: ['>'], subscribe: ['>'] })
    connections.push(await logIn({ natsUrl: stack.urls.nats, ca: undefined, inboxPrefix: '_INBOX.tap', signer, rights }))
  }
  const signer = await natsKey(transit, natsKeyNames.system, 'account')
  const rights = (publicKey: string) => ({ ...systemRights(publicKey), subscribe: ['>'] })
  connections.push(await logIn({ natsUrl: stack.urls.nats, ca: undefined, inboxPrefix: '_INBOX.tap', signer, rights }))
  for (const connection of connections) {
    connection.subscribe('>', {
      callback: (error, message) =>
        void (error === null && heard.push(Buffer.from(`${message.subject} ${message.reply ?? ''} `), Buffer.from(message.data), Buffer.from('\n'))),
    })
    await connection.flush()
  }
  return {
    sink: () => ({ name: 'NATS traffic', bytes: Buffer.concat(heard) }),
    publish: async (subject, text) => {
      connections[0]?.publish(subject, text)
      await connections[0]?.flush()
    },
    close: async () => {
      await Promise.all(connections.map((connection) => connection.close()))
    },
  }
}
