import { randomBytes, randomUUID } from 'node:crypto'
import type { Parts } from '#api/parts.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { Secret } from '#schemas/secret.ts'
import type { OrganizationSecrets } from '#secrets/organization-secret.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { acme } from '#stack/people.ts'
import { recordTemporalCall } from '#store/relay-state.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startApi, type TestApi } from './support.ts'

/** The API with an organization, a vault `demo` that sam may check out from, a host, and identities as a test wants them. */
export interface ApiWorld extends TestApi {
  readonly database: TestDatabase
  readonly organizationId: string
  readonly vaultId: string
  readonly hostId: string
  readonly connectorId: string
  /** OpenBao goes away or comes back. */
  openBao(up: boolean): void
  /** @returns id of an identity of `demo` whose credential is `password of <name>` */
  addIdentity(name: string, settings?: Record<string, unknown>): Promise<string>
  /** Posts as somebody and gives the answer, whatever it is. */
  post(sub: string, path: string, body?: unknown, headers?: Record<string, string>): ReturnType<TestApi['call']>
  end(): Promise<void>
}

/** Secrets of organizations in memory instead of in OpenBao: what the API does when they are there and when they are not. */
function memorySecrets(): OrganizationSecrets & { up: boolean } {
  const made = new Map<string, Secret<Buffer>>()
  const store = {
    up: true,
    async create(...name: unknown[]) {
      refuseDown()
      if (!made.has(name.join('/'))) made.set(name.join('/'), Secret.of(randomBytes(32)))
    },
    async read(...name: unknown[]) {
      refuseDown()
      const secret = made.get(name.join('/'))
      if (secret === undefined) throw new LeaseholdError('organization-secret-not-found')
      return secret
    },
  }
  const refuseDown = (): void => {
    if (!store.up) throw new LeaseholdError('dependency-unavailable', { role: 'openbao' })
  }
  return store
}

export async function createApiWorld(more: Partial<Parts> = {}): Promise<ApiWorld> {
  const database = await createTestDatabase()
  const organizationSecrets = memorySecrets()
  // Nothing is cached, so that an absence of OpenBao is felt at once.
  const api = await startApi(database, { organizationSecrets, vaultKeys: createVaultKeys(organizationSecrets, { refresh: 0, hardStop: 0, size: 10 }), ...more })
  await recordTemporalCall(database.as('leasehold_relay'), randomUUID())
  const make = async (path: string, body: Record<string, unknown>): Promise<string> => {
    const answer = await api.call('mia', 'POST', path, { body })
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`)
    return answer.body.id
  }
  const organizationId = await make('/v1/organizations', { name: 'main' })
  await api.call('mia', 'PUT', `/v1/organizations/${organizationId}/secret`, { body: {} })
  const vaultId = await make('/v1/identity-groups', { organizationId, name: 'demo' })
  const connectorId = await make('/v1/connectors', { organizationId, name: 'edge' })
  const hostId = await make('/v1/hosts', { organizationId, name: 'target', address: '127.0.0.1', port: 5432, adapter: 'postgres', connectorId })
  const sam = acme.users.find((user) => user.sub === 'sam')
  await make(`/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'user', id: sam?.idpId }, level: 'checkout' })
  return {
    ...api,
    database,
    organizationId,
    vaultId,
    hostId,
    connectorId,
    openBao: (up) => {
      organizationSecrets.up = up
    },
    addIdentity: (name, settings = {}) =>
      make('/v1/identities', { identityGroupId: vaultId, name, username: name, credentialType: 'password', credential: `password of ${name}`, ...settings }),
    post: (sub, path, body = {}, headers = {}) => api.call(sub, 'POST', path, { body, headers }),
    end: async () => {
      await api.stop()
      await database.end()
    },
  }
}
