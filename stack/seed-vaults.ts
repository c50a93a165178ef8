import { expectStatus, type ApiClient } from './api-client.ts'
import { acme } from './people.ts'

/** The second PostgreSQL: the target whose roles Leasehold guards. */
export interface SeedTarget {
  readonly host: string
  readonly port: number
  readonly admin: { readonly username: string; readonly password: string }
  /** First password of each role: orders_app, reports_app, shared_ro. */
  readonly passwords: Readonly<Record<string, string>>
}

const key = (name: string) => `seed-${name}`

async function create(api: ApiClient, path: string, name: string, body: Record<string, unknown>): Promise<string> {
  return expectStatus(await api.post<{ id: string }>(path, { name, ...body }, key(name)), 201).id
}

/**
 * Makes the seeded organization, vaults, connector, host and identities through the API, as the account's owner would. Every
 * call has a fixed Idempotency-Key, so that a start that died half way is repeated without harm.
 *
 * @param api calls as mia
 * @returns a fresh token with which the connector joins
 */
export async function seedVaults(api: ApiClient, target: SeedTarget): Promise<{ readonly connectorId: string; readonly joinToken: string }> {
  const organizationId = await create(api, '/v1/organizations', 'acme-main', {})
  expectStatus(await api.put(`/v1/organizations/${organizationId}/secret`, {}), 204, 409)
  const infrastructure = await create(api, '/v1/identity-groups', 'infrastructure', {
    organizationId,
    description: 'Accounts that Leasehold itself works with',
  })
  const demo = await create(api, '/v1/identity-groups', 'demo', { organizationId, description: 'Accounts of the demo target' })
  const adminIdentityId = await create(api, '/v1/identities', 'target-admin', {
    identityGroupId: infrastructure,
    username: target.admin.username,
    credentialType: 'password',
    credential: target.admin.password,
    exposure: 'inject_only',
  })
  const connectorId = await create(api, '/v1/connectors', 'demo-connector', { organizationId })
  const hostId = await create(api, '/v1/hosts', 'target', {
    organizationId,
    address: target.host,
    port: target.port,
    adapter: 'postgres',
    connectorId,
    adminIdentityId,
  })
  for (const { name, username, ...settings } of identities) {
    await create(api, '/v1/identities', name, {
      identityGroupId: demo,
      username,
      credentialType: 'password',
      credential: target.passwords[username],
      hostIds: [hostId],
      ...settings,
    })
  }
  await grantCheckout(api, demo, 'sam')
  const { joinToken } = expectStatus(await api.post<{ joinToken: string }>(`/v1/connectors/${connectorId}/join-tokens`, {}), 201)
  return { connectorId, joinToken }
}

const identities = [
  { name: 'orders-db', username: 'orders_app', rotateAfterUse: true },
  { name: 'reports-db', username: 'reports_app' },
  { name: 'shared-ro', username: 'shared_ro', allowConcurrentCheckout: true, maxConcurrentSessions: 3 },
]

async function grantCheckout(api: ApiClient, vaultId: string, sub: string): Promise<void> {
  const user = acme.users.find((candidate) => candidate.sub === sub)
  const answer = await api.post(
    `/v1/identity-groups/${vaultId}/grants`,
    { principal: { type: 'user', id: user?.idpId }, level: 'checkout' },
    key(`grant-${sub}`),
  )
  expectStatus(answer, 201)
}
