import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { writePrivate, type Home } from './home.ts'
import type { Ports } from './ports.ts'
import type { Program } from './process.ts'

/** What makes a server trust our operator: public keys and signed claims only. */
export interface OperatorConfiguration {
  readonly operatorJwt: string
  readonly systemAccount: string
  readonly resolverPreload: Readonly<Record<string, string>>
}

/** nats-server in operator mode: it knows no password, only claims that the operator's key in OpenBao signed. */
export function natsProgram(home: Home, command: string, ports: Ports, { operatorJwt, systemAccount, resolverPreload }: OperatorConfiguration): Program {
  const folder = home.file('nats')
  mkdirSync(`${folder}/jwt`, { recursive: true })
  const configuration = [
    `server_name: "${home.stackId}"`,
    `listen: "127.0.0.1:${ports.nats}"`,
    `operator: ${operatorJwt}`,
    `system_account: ${systemAccount}`,
    `resolver: { type: full, dir: ${JSON.stringify(`${folder}/jwt`)}, allow_delete: true, interval: "2m" }`,
    'resolver_preload: {',
    ...Object.entries(resolverPreload).map(([key, jwt]) => `  ${key}: ${jwt}`),
    '}',
    'max_payload: 131072',
    'no_fast_producer_stall: true',
  ]
  writePrivate(`${folder}/nats.conf`, `${configuration.join('\n')}\n`)
  return {
    name: 'nats',
    role: 'nats',
    port: ports.nats,
    command,
    stopSignal: 'SIGTERM',
    args: ['--config', `${folder}/nats.conf`],
    ready: async () => (await readServerName(ports.nats)) === home.stackId,
  }
}

/** The first line that a NATS server sends is `INFO {…}`. */
function readServerName(port: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 })
    let text = ''
    socket.setEncoding('utf8')
    socket.once('error', reject)
    socket.once('timeout', () => socket.destroy(new Error('timeout')))
    socket.on('data', (part: string) => {
      text += part
      if (!text.includes('\r\n')) return
      socket.destroy()
      resolve((JSON.parse(text.slice('INFO '.length, text.indexOf('\r\n'))) as { server_name?: string }).server_name)
    })
  })
}
