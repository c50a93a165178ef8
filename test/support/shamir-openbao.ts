import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Issued } from '#stack/certificates.ts'
import { freePort } from './free-port.ts'
import { startProgram } from './program.ts'

/** A real OpenBao as an operator would run it: TLS 1.3, sealed by key shares that nobody keeps beside it. */
export interface ShamirOpenBao {
  readonly url: string
  /** An AppRole that may administer it, as `provision` takes it. */
  readonly boot: { readonly bootRoleId: string; readonly bootSecretId: string }
  readonly seal: () => Promise<void>
  readonly unseal: () => Promise<void>
  readonly stop: () => Promise<void>
}

export interface ShamirOptions {
  readonly program: string
  readonly certificate: Issued
  /** Believes the authority of the certificate. */
  readonly fetch: typeof fetch
}

interface Initialised {
  readonly keys_base64: readonly string[]
  readonly root_token: string
}

const everything = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'

export async function startShamirOpenBao({ program, certificate, fetch: reach }: ShamirOptions): Promise<ShamirOpenBao> {
  const folder = mkdtempSync(path.join(tmpdir(), 'leasehold-shamir-'))
  const [port, clusterPort] = [await freePort(), await freePort()]
  const url = `https://127.0.0.1:${port}`
  writeFileSync(path.join(folder, 'server.pem'), certificate.cert)
  writeFileSync(path.join(folder, 'server.key'), certificate.key, { mode: 0o600 })
  writeFileSync(
    path.join(folder, 'bao.json'),
    JSON.stringify({
      storage: { raft: { path: folder, node_id: 'n1', performance_multiplier: 1 } },
      listener: [
        {
          tcp: {
            address: `127.0.0.1:${port}`,
            tls_cert_file: path.join(folder, 'server.pem'),
            tls_key_file: path.join(folder, 'server.key'),
            tls_min_version: 'tls13',
          },
        },
      ],
      api_addr: url,
      cluster_addr: `https://127.0.0.1:${clusterPort}`,
    }),
  )
  const server = startProgram(program, ['server', '-config', path.join(folder, 'bao.json'), '-log-level', 'warn'], { HOME: folder })
  let token = ''

  async function call<T>(method: string, route: string, body?: object): Promise<T> {
    const response = await reach(`${url}/v1/${route}`, {
      method,
      headers: { 'x-vault-token': token },
      signal: AbortSignal.timeout(5_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
  const until = async (done: () => Promise<boolean>): Promise<void> => {
    for (const end = performance.now() + 20_000; !(await done().catch(() => false)); await sleep(50)) {
      if (performance.now() > end) throw new Error(`OpenBao is not ready:\n${server.output()}`)
    }
  }
  const health = async (status: number): Promise<boolean> => {
    const response = await reach(`${url}/v1/sys/health`, { signal: AbortSignal.timeout(1_000) })
    await response.body?.cancel()
    return response.status === status
  }

  await until(() => health(501))
  const { keys_base64: shares, root_token: root } = await call<Initialised>('PUT', 'sys/init', { secret_shares: 3, secret_threshold: 2 })
  const unseal = async (): Promise<void> => {
    for (const key of shares.slice(1)) await call('PUT', 'sys/unseal', { key })
    await until(() => health(200))
  }
  await unseal()
  token = root
  const boot = { bootRoleId: 'boot', bootSecretId: randomBytes(16).toString('hex') }
  await until(() => call('GET', 'sys/mounts').then(() => true))
  await call('POST', 'sys/auth/approle', { type: 'approle' })
  await call('PUT', 'sys/policies/acl/boot', { policy: everything })
  await call('POST', 'auth/approle/role/boot', { token_policies: ['boot'] })
  await call('POST', 'auth/approle/role/boot/role-id', { role_id: boot.bootRoleId })
  await call('POST', 'auth/approle/role/boot/custom-secret-id', { secret_id: boot.bootSecretId })
  return {
    url,
    boot,
    unseal,
    seal: () => call('PUT', 'sys/seal'),
    stop: async () => {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
