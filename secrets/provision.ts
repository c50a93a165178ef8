import { OpenBaoRefusal } from './bao-request.ts'
import { createOpenBao, type OpenBao } from './openbao.ts'
import { policies, type BaoRole } from './policies.ts'
import { createTransit } from './transit.ts'

export interface AppRole { readonly roleId: string; readonly secretId: string }

/**
 * Prepares OpenBao for Leasehold: mounts, keys, and one AppRole with the least policy per process role. What is there stays;
 * running it again gives fresh secret ids.
 *
 * @param bootRoleId an AppRole that may administer OpenBao; needed at installation and upgrade only
 */
export async function provision(options: { readonly url: string; readonly bootRoleId: string; readonly bootSecretId: string }): Promise<Record<BaoRole, AppRole>> {
  const bao = createOpenBao({ url: options.url, roleId: options.bootRoleId, secretId: options.bootSecretId })
  await mount(bao, 'leasehold', { type: 'kv', options: { version: '2' } })
  await mount(bao, 'leasehold-transit', { type: 'transit' })
  await Promise.all(['org-wrap', 'namespace-wrap'].map((name) => ensureWrappingKey(bao, name)))
  const transit = createTransit(bao)
  await Promise.all(['connector-signing', 'nats-operator', 'nats-system'].map((name) => transit.ensureSigningKey(name)))
  const made = await Promise.all(Object.entries(policies).map(async ([role, policy]) => [role, await ensureRole(bao, role, policy)] as const))
  return Object.fromEntries(made) as Record<BaoRole, AppRole>
}

async function mount(bao: OpenBao, name: string, body: object): Promise<void> {
  await bao.write(['sys', 'mounts', name], body).catch((error: unknown) => {
    // 400: it is mounted already.
    if (!(error instanceof OpenBaoRefusal) || error.status !== 400) throw error
  })
}

async function ensureWrappingKey(bao: OpenBao, name: string): Promise<void> {
  if ((await bao.read(['leasehold-transit', 'keys', name])) !== undefined) return
  await bao.write(['leasehold-transit', 'keys', name], { type: 'aes256-gcm96', exportable: false })
}

async function ensureRole(bao: OpenBao, role: string, policy: string): Promise<AppRole> {
  await bao.write(['sys', 'policies', 'acl', role], { policy })
  await bao.write(['auth', 'approle', 'role', role], { token_policies: [role], token_ttl: '1h', token_max_ttl: '24h', token_no_default_policy: true })
  const id = await bao.read<{ role_id: string }>(['auth', 'approle', 'role', role, 'role-id'])
  const { secret_id: secretId } = await bao.write<{ secret_id: string }>(['auth', 'approle', 'role', role, 'secret-id'], {})
  if (id === undefined) throw new Error(`OpenBao lost the role ${role}`)
  return { roleId: id.role_id, secretId }
}
