import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OperatorConfiguration } from '#connector-bridge/identity/operator.ts'
import type { Issued } from '#stack/certificates.ts'
import { freePort } from './free-port.ts'

/** A real nats-server in operator mode. */
export interface TestNats {
  readonly url: string
  /** Ends it with SIGKILL; what it was told of accounts stays on its disk unless `forget`. */
  readonly kill: (options?: { readonly forget?: boolean }) => Promise<void>
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
}

/**
 * @param configuration the operator, or what an installation wrote of it
 * @param certificate with one it speaks TLS 1.3 only
 * @throws Error when it does not come up within 10 s; LEASEHOLD_TEST_NATS names the binary (else `nats-server` on PATH)
 */
export async function startNats(configuration: OperatorConfiguration | string, certificate?: Issued): Promise<TestNats> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasehold-nats-'))
  const port = await freePort()
  const file = path.join(folder, 'nats.conf')
  await writeFile(file, format(folder, port, configuration) + (certificate === undefined ? '' : tls(folder)))
  if (certificate !== undefined) {
    await writeFile(path.join(folder, 'server.pem'), certificate.cert)
    await writeFile(path.join(folder, 'server.key'), certificate.key, { mode: 0o600 })
  }
  let server: ChildProcess | undefined
  const nats: TestNats = {
    url: `${certificate === undefined ? 'nats' : 'tls'}://127.0.0.1:${port}`,
    start: async () => {
      server = spawn(process.env['LEASEHOLD_TEST_NATS'] ?? 'nats-server', ['--config', file], {
        stdio: process.env['LEASEHOLD_TEST_DEBUG'] ? 'inherit' : 'ignore',
      })
      await untilListening(port)
    },
    kill: async ({ forget = false } = {}) => {
      if (server === undefined) return
      const ended = once(server, 'exit')
      server.kill('SIGKILL')
      await ended
      server = undefined
      if (forget) await rm(path.join(folder, 'jwt'), { recursive: true, force: true })
    },
    stop: async () => {
      await nats.kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
  await nats.start()
  return nats
}

const trust = ({ operatorJwt, systemAccount, resolverPreload }: OperatorConfiguration): string => `
operator: ${operatorJwt}
system_account: ${systemAccount}
resolver_preload: { ${Object.entries(resolverPreload)
  .map(([key, jwt]) => `${key}: ${jwt}`)
  .join('\n')} }
`

const format = (folder: string, port: number, configuration: OperatorConfiguration | string): string => `
listen: "127.0.0.1:${port}"
${typeof configuration === 'string' ? configuration : trust(configuration)}
resolver: { type: full, dir: "${folder}/jwt", allow_delete: true, interval: "2m" }
max_payload: 131072
no_fast_producer_stall: true
`

const tls = (folder: string): string => `tls { cert_file: "${folder}/server.pem", key_file: "${folder}/server.key", min_version: "1.3" }
`

async function untilListening(port: number): Promise<void> {
  const limit = Date.now() + 10_000
  while (Date.now() < limit) {
    const socket = connect(port, '127.0.0.1')
    const up = await new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (up) return
    await sleep(30)
  }
  throw new Error('nats-server did not come up')
}
