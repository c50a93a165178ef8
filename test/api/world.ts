import { randomUUID } from 'node:crypto'
import { createOpenBao } from '#secrets/openbao.ts'
import { createAccountKeys } from '#secrets/account-key.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import type { ApiSettings, Parts } from '#api/parts.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { acme } from '#stack/people.ts'
import { recordTemporalCall } from '#store/relay-state.ts'
import { startCutProxy } from '../support/cut-proxy.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { sharedOpenBao } from '../support/openbao.ts'
import { startApi, type TestApi } from './support.ts'

/** The API with an organization, a vault `demo` that sam may check out from, a host, and identities as a test wants them. */
export interface ApiWorld extends TestApi {
  readonly database: TestDatabase
  readonly organizationId: string
  readonly vaultId: string
  readonly hostId: string
  readonly connectorId: string
  /** OpenBao goes away or comes back. */
  openBao(up: boolean): Promise<void>
  /** @returns id of an identity of `demo` whose credential is `password of <name>` */
  addIdentity(name: string, settings?: Record<string, unknown>): Promise<string>
  /** Posts as somebody and gives the answer, whatever it is. */
  post(sub: string, path: string, body?: unknown, headers?: Record<string, string>): ReturnType<TestApi['call']>
  end(): Promise<void>
}

export async function createApiWorld(more: Partial<Parts> = {}, settings: Partial<ApiSettings> = {}): Promise<ApiWorld> {
  const database = await createTestDatabase()
  const { url, login } = sharedOpenBao()
  const { hostname, port } = new URL(url)
  const proxy = await startCutProxy({ host: hostname, port: Number(port) })
  const bao = createOpenBao({ url: `http://127.0.0.1:${proxy.port}`, ...login('leasehold-api') })
  const organizationSecrets = createOrganizationSecrets(bao)
  // Nothing is cached, so that an absence of OpenBao is felt at once.
  const nothingKept = { refresh: 0, hardStop: 0, size: 10 }
  const keys = { organizationSecrets, vaultKeys: createVaultKeys(organizationSecrets, nothingKept), accountKeys: createAccountKeys(bao, nothingKept) }
  const api = await startApi(database, { ...keys, ...more }, settings)
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
    openBao: (up) => proxy.set(up ? 'pass' : 'closed'),
    addIdentity: (name, settings = {}) =>
      make('/v1/identities', { identityGroupId: vaultId, name, username: name, credentialType: 'password', credential: `password of ${name}`, ...settings }),
    post: (sub, path, body = {}, headers = {}) => api.call(sub, 'POST', path, { body, headers }),
    end: async () => {
      await api.stop()
      await proxy.end()
      await database.end()
    },
  }
}
