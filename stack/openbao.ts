import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { writePrivate, type Home } from './home.ts'
import type { Ports } from './ports.ts'
import type { Program } from './process.ts'

/** Role of the AppRole method with which the stack provisions mounts, keys and policies. */
export const bootRoleId = 'boot'

/**
 * OpenBao with raft storage and a static seal, initialised by its own configuration: no root token ever leaves it. Every later
 * change goes through the AppRole `boot`.
 *
 * @param bootSecretId kept in a file that only we may read; OpenBao reads it once
 */
export function openbaoProgram(home: Home, command: string, ports: Ports, bootSecretId: string): Program {
  const folder = home.file('openbao')
  mkdirSync(`${folder}/raft`, { recursive: true })
  const files = { sealKey: `${folder}/seal.key`, bootSecret: `${folder}/boot-secret`, configuration: `${folder}/openbao.json` }
  if (!existsSync(files.sealKey)) writePrivate(files.sealKey, randomBytes(32).toString('hex'))
  writePrivate(files.bootSecret, bootSecretId)
  writePrivate(files.configuration, {
    cluster_name: home.stackId,
    storage: { raft: { path: `${folder}/raft`, node_id: 'n1', performance_multiplier: 1 } },
    listener: [{ tcp: { address: `127.0.0.1:${ports.openbao}`, tls_disable: true } }],
    api_addr: `http://127.0.0.1:${ports.openbao}`,
    cluster_addr: `http://127.0.0.1:${ports.openbaoCluster}`,
    seal: { static: { current_key_id: 'k1', current_key: `file://${files.sealKey}` } },
    // Requests and answers, their values hashed (HMAC): who asked for which path is all that it shows.
    audit: [{ file: { main: { description: 'requests', options: { file_path: `${folder}/audit.log` } } } }],
    initialize: [{ boot: { request: firstRequests(files.bootSecret) } }],
  })
  return {
    name: 'openbao',
    role: 'openbao',
    port: ports.openbao,
    command,
    stopSignal: 'SIGINT',
    args: ['server', '-config', files.configuration, '-log-level', 'warn'],
    ready: async () => {
      const response = await fetch(`http://127.0.0.1:${ports.openbao}/v1/sys/health`, { redirect: 'error', signal: AbortSignal.timeout(1_000) })
      if (response.status !== 200) return false
      return ((await response.json()) as { cluster_name?: string }).cluster_name === home.stackId && (await bootWorks(ports.openbao, bootSecretId))
    },
  }
}

const everything = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo", "patch"] }'

function firstRequests(bootSecretFile: string) {
  const update = (path: string, data: object) => ({ operation: 'update', path, data })
  return [
    { method: update('sys/auth/approle', { type: 'approle' }) },
    { policy: update('sys/policies/acl/boot', { policy: everything }) },
    { role: update(`auth/approle/role/${bootRoleId}`, { token_policies: ['boot'], token_ttl: '10m' }) },
    { roleId: update(`auth/approle/role/${bootRoleId}/role-id`, { role_id: bootRoleId }) },
    { secretId: update(`auth/approle/role/${bootRoleId}/custom-secret-id`, { secret_id: { eval_source: 'file', eval_type: 'string', path: bootSecretFile } }) },
  ]
}

/** The server is active a moment before its first requests are through. */
async function bootWorks(port: number, secretId: string): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/auth/approle/login`, {
    method: 'POST',
    redirect: 'error',
    body: JSON.stringify({ role_id: bootRoleId, secret_id: secretId }),
    signal: AbortSignal.timeout(1_000),
  })
  await response.body?.cancel()
  return response.status === 200
}
