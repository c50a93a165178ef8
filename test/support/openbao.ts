import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createOpenBao, type OpenBao } from '#secrets/openbao.ts'
import type { BaoRole } from '#secrets/policies.ts'
import { provision, type AppRole } from '#secrets/provision.ts'
import { freePort } from './free-port.ts'

/** A real OpenBao with Leasehold's mounts, keys, policies and roles. */
export interface TestOpenBao {
  readonly url: string
  /** Logged in as one of our process roles. */
  readonly as: (role: BaoRole) => OpenBao
  /** What a role process would find in its credentials file. */
  readonly login: (role: BaoRole) => AppRole
  /** The AppRole of installation and upgrade, as `provision` takes it. */
  readonly boot: { readonly bootRoleId: string; readonly bootSecretId: string }
  readonly stop: () => Promise<void>
}

/** The OpenBao that the files of a test run share, each with organizations of its own. @throws Error when the run has none */
export function sharedOpenBao(): Pick<TestOpenBao, 'url' | 'login'> {
  const shared = process.env['LEASEHOLD_TEST_OPENBAO_LOGINS']
  if (shared === undefined) throw new Error('LEASEHOLD_TEST_OPENBAO_LOGINS is not set; the test command sets it')
  const { url, logins } = JSON.parse(shared) as { url: string; logins: Record<BaoRole, AppRole> }
  return { url, login: (role) => logins[role] }
}

/** @throws Error when it does not come up within 20 s; LEASEHOLD_TEST_OPENBAO names the binary (else `bao` on PATH) */
export async function startOpenBao(): Promise<TestOpenBao> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasehold-bao-'))
  const [port, clusterPort] = [await freePort(), await freePort()]
  const url = `http://127.0.0.1:${port}`
  const bootSecretId = randomBytes(16).toString('hex')
  await writeFile(path.join(folder, 'seal.key'), randomBytes(32), { mode: 0o600 })
  await writeFile(path.join(folder, 'bao.hcl'), configuration(folder, port, clusterPort))
  const server = spawn(process.env['LEASEHOLD_TEST_OPENBAO'] ?? 'bao', ['server', '-config', path.join(folder, 'bao.hcl')], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], HOME: folder, BOOT_SECRET: bootSecretId },
  })
  const ended = once(server, 'exit').catch(() => {})
  const stop = async (): Promise<void> => {
    server.kill('SIGKILL')
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await untilReady(url)
    const boot = { bootRoleId: 'boot', bootSecretId }
    const roles = await provision({ url, ...boot })
    return { url, boot, as: (role) => createOpenBao({ url, ...roles[role] }), login: (role) => roles[role], stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function untilReady(url: string): Promise<void> {
  const limit = Date.now() + 20_000
  while (Date.now() < limit) {
    const status = await fetch(`${url}/v1/sys/health`).then(
      (response) => response.status,
      () => 0,
    )
    if (status === 200) return
    await sleep(100)
  }
  throw new Error('OpenBao did not come up')
}

const configuration = (folder: string, port: number, clusterPort: number): string => `
storage "raft" { path = "${folder}" node_id = "n1" performance_multiplier = 1 }
listener "tcp" { address = "127.0.0.1:${port}" tls_disable = true }
api_addr = "http://127.0.0.1:${port}"
cluster_addr = "http://127.0.0.1:${clusterPort}"
seal "static" { current_key_id = "k1" current_key = "file://${folder}/seal.key" }
initialize "auth" {
  request "approle" { operation = "update" path = "sys/auth/approle" data = { type = "approle" } }
  request "policy" { operation = "update" path = "sys/policies/acl/boot" data = { policy = "path \\"*\\" { capabilities = [\\"create\\",\\"read\\",\\"update\\",\\"delete\\",\\"list\\",\\"sudo\\"] }" } }
  request "role" { operation = "update" path = "auth/approle/role/boot" data = { token_policies = ["boot"] } }
  request "role-id" { operation = "update" path = "auth/approle/role/boot/role-id" data = { role_id = "boot" } }
  request "secret-id" { operation = "update" path = "auth/approle/role/boot/custom-secret-id" data = { secret_id = { eval_source = "env" eval_type = "string" env_var = "BOOT_SECRET" } } }
}
`
