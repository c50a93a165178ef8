import { createOpenBao, type BaoPath, type OpenBao } from './openbao.ts'
import { policies, type BaoRole } from './policies.ts'
import { createTransit } from './transit.ts'

export interface AppRole {
  readonly roleId: string
  readonly secretId: string
}

/**
 * Prepares OpenBao for Leasehold: mounts, keys, and one AppRole with the least policy per process role. What is there stays;
 * running it again gives fresh secret ids and ends those before the last run, whose processes may still be at work.
 *
 * @param bootRoleId an AppRole that may administer OpenBao; needed at installation and upgrade only
 */
export async function provision(options: {
  readonly url: string
  readonly bootRoleId: string
  readonly bootSecretId: string
  readonly fetch?: typeof fetch
}): Promise<Record<BaoRole, AppRole>> {
  const bao = createOpenBao({ url: options.url, roleId: options.bootRoleId, secretId: options.bootSecretId, fetch: options.fetch })
  const mounted = (await bao.read<Mounts>(['sys', 'mounts'])) ?? {}
  await ensureMount(bao, mounted, 'leasehold', { type: 'kv', options: { version: '2' } })
  await ensureMount(bao, mounted, 'leasehold-transit', { type: 'transit' })
  await Promise.all(['org-wrap', 'namespace-wrap'].map((name) => ensureWrappingKey(bao, name)))
  const transit = createTransit(bao)
  await Promise.all(['connector-signing', 'nats-operator', 'nats-system'].map((name) => transit.ensureSigningKey(name)))
  const made = await Promise.all(Object.entries(policies).map(async ([role, policy]) => [role, await ensureRole(bao, role, policy)] as const))
  return Object.fromEntries(made) as Record<BaoRole, AppRole>
}

type Mounts = Readonly<Record<string, { readonly type: string }>>

async function ensureMount(bao: OpenBao, mounted: Mounts, name: string, body: { readonly type: string; readonly options?: object }): Promise<void> {
  const present = mounted[`${name}/`]
  if (present === undefined) await bao.write(['sys', 'mounts', name], body)
  else if (present.type !== body.type) throw new Error(`OpenBao has another engine at ${name}/ (${present.type})`)
}

async function ensureWrappingKey(bao: OpenBao, name: string): Promise<void> {
  if ((await bao.read(['leasehold-transit', 'keys', name])) !== undefined) return
  await bao.write(['leasehold-transit', 'keys', name], { type: 'aes256-gcm96', exportable: false })
}

async function ensureRole(bao: OpenBao, role: string, policy: string): Promise<AppRole> {
  const at = ['auth', 'approle', 'role', role]
  await bao.write(['sys', 'policies', 'acl', role], { policy })
  await bao.write(at, { token_policies: [role], token_ttl: '1h', token_max_ttl: '24h', token_no_default_policy: true })
  await endOldSecretIds(bao, at)
  const id = await bao.read<{ role_id: string }>([...at, 'role-id'])
  const { secret_id: secretId } = await bao.write<{ secret_id: string }>([...at, 'secret-id'], {})
  if (id === undefined) throw new Error(`OpenBao lost the role ${role}`)
  return { roleId: id.role_id, secretId }
}

/** All but the newest. */
async function endOldSecretIds(bao: OpenBao, role: BaoPath): Promise<void> {
  const found: { accessor: string; made: number }[] = []
  for (const accessor of await bao.list([...role, 'secret-id'])) {
    const facts = await bao.write<{ creation_time: string }>([...role, 'secret-id-accessor', 'lookup'], { secret_id_accessor: accessor })
    found.push({ accessor, made: Date.parse(facts.creation_time) })
  }
  for (const { accessor } of found.sort((one, other) => other.made - one.made).slice(1)) {
    await bao.write([...role, 'secret-id-accessor', 'destroy'], { secret_id_accessor: accessor })
  }
}
