import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { readJson, writePrivate, type Home } from './home.ts'

/** Preferred ports on loopback. */
const preferred = {
  api: 7400,
  issuer: 7401,
  temporal: 7402,
  temporalUi: 7403,
  temporalHttp: 7404,
  nats: 7405,
  openbao: 7406,
  openbaoCluster: 7407,
  postgres: 7408,
  target: 7409,
  apiTls: 7410,
  smtp: 7411,
  mail: 7412,
} as const
export type PortName = keyof typeof preferred
export type Ports = Readonly<Record<PortName, number>>

/** Others remember these: tokens and logins the issuer, connectors the API, NATS and the target. They never move. */
const pinned: readonly PortName[] = ['issuer', 'api', 'apiTls', 'nats', 'target']

/**
 * The ports of this home: those of its last run where they are free, else the preferred ones, else any.
 *
 * @param random true skips the preferred ones
 * @throws Error naming a port that may not move and is taken
 */
export async function choosePorts(home: Home, random: boolean): Promise<Ports> {
  const file = home.file('ports.json')
  const last: Partial<Ports> = existsSync(file) ? readJson(file) : {}
  const chosen: Partial<Record<PortName, number>> = {}
  for (const name of Object.keys(preferred) as PortName[]) {
    const before = last[name]
    if (before !== undefined && pinned.includes(name) && !(await isFree(before))) {
      throw new Error(`port ${before} (${name}) is taken by another program; this home needs it, because issued identities name it`)
    }
    const candidates = [before, random ? undefined : preferred[name]]
    chosen[name] = (await firstFree(candidates)) ?? (await freePort(Object.values(chosen)))
  }
  writePrivate(file, chosen)
  return chosen as Ports
}

async function firstFree(candidates: readonly (number | undefined)[]): Promise<number | undefined> {
  for (const port of candidates) if (port !== undefined && (await isFree(port))) return port
  return undefined
}

export const isFree = (port: number): Promise<boolean> =>
  listenOnce(port).then(
    () => true,
    () => false,
  )

/** Below the ports that systems give to outgoing connections: one of those could take the port before its server listens. */
const range = [15_000, 32_000] as const

/** Any port of loopback that nobody listens on now. @param promised ports that others will listen on */
export async function freePort(promised: readonly number[] = []): Promise<number> {
  for (;;) {
    const port = randomInt(...range)
    if (!promised.includes(port) && (await isFree(port))) return port
  }
}

function listenOnce(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve()))
  })
}
