import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AccountId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createVaultKeys, keyVersionOf } from '#secrets/vault-keys.ts'
import { startOpenBao, type TestOpenBao } from '#test/support/openbao.ts'
import { vaultRef } from './keys.ts'

let server: TestOpenBao
beforeAll(async () => void (server = await startOpenBao()), 40_000)
afterAll(() => server.stop())

const newOrganization = () => ({ accountId: randomUUID() as AccountId, organizationId: randomUUID() as OrganizationId })

describe('an organization secret', () => {
  test('is 32 random bytes that every role reads alike and OpenBao holds only wrapped', async () => {
    const { accountId, organizationId } = newOrganization()
    await createOrganizationSecrets(server.as('leasehold-api')).create(accountId, organizationId, 1)
    const read = await Promise.all(
      (['leasehold-api', 'leasehold-worker', 'leasehold-bridge'] as const).map(async (role) =>
        (await createOrganizationSecrets(server.as(role)).read(accountId, organizationId, 1)).expose().toString('hex'),
      ),
    )
    expect(new Set(read).size).toBe(1)
    expect(read[0]).toMatch(/^[0-9a-f]{64}$/)
    const stored = JSON.stringify(await server.as('leasehold-api').read(['leasehold', 'data', 'organizations', accountId, organizationId, '1']))
    expect(stored).toContain('vault:v1:')
    expect(stored).not.toContain(Buffer.from(read[0] ?? '', 'hex').toString('base64'))
  })

  test('is never overwritten: whoever makes it again, or at the same time, gets the one that is there', async () => {
    const { accountId, organizationId } = newOrganization()
    const secrets = createOrganizationSecrets(server.as('leasehold-api'))
    await Promise.all(Array.from({ length: 5 }, () => secrets.create(accountId, organizationId, 1)))
    const first = (await secrets.read(accountId, organizationId, 1)).expose()
    await secrets.create(accountId, organizationId, 1)
    expect((await secrets.read(accountId, organizationId, 1)).expose()).toEqual(first)
    await secrets.create(accountId, organizationId, 2)
    expect((await secrets.read(accountId, organizationId, 2)).expose()).not.toEqual(first)
  })

  test('that nobody made is not found', async () => {
    const { accountId, organizationId } = newOrganization()
    await expect(createOrganizationSecrets(server.as('leasehold-api')).read(accountId, organizationId, 1)).rejects.toMatchObject({
      code: 'organization-secret-not-found',
    })
  })

  test('is read again after the token of the process was revoked', async () => {
    const { accountId, organizationId } = newOrganization()
    const secrets = createOrganizationSecrets(server.as('leasehold-api'))
    await secrets.create(accountId, organizationId, 1)
    const admin = createOpenBao({ url: server.url, roleId: server.boot.bootRoleId, secretId: server.boot.bootSecretId })
    await admin.write(['sys', 'leases', 'revoke-prefix', 'auth', 'approle'], {})
    expect((await secrets.read(accountId, organizationId, 1)).expose()).toHaveLength(32)
  })
})

describe('vault keys', () => {
  test('differ by vault, organization and version', async () => {
    const { accountId, organizationId } = newOrganization()
    const secrets = createOrganizationSecrets(server.as('leasehold-api'))
    await Promise.all([1, 2].map((version) => secrets.create(accountId, organizationId, version)))
    const keys = createVaultKeys(secrets)
    const ref = { ...vaultRef, accountId, organizationId, keyVersion: 1 }
    const all = await Promise.all([keys.get(ref), keys.get({ ...ref, vaultId: randomUUID() as VaultId }), keys.get({ ...ref, keyVersion: 2 }), keys.get(ref)])
    expect(new Set(all.map(({ material }) => material.expose().toString('hex'))).size).toBe(3)
    expect(all.map(({ keyId }) => keyId)).toEqual(['o1', 'o1', 'o2', 'o1'])
  })

  test.each(['', 'o', 'o0', 'o01', 'n1', 'o1 ', 'o-1', 'o1.5', '1'])('are not named %j', (keyId) => {
    expect(() => keyVersionOf(keyId)).toThrow(TypeError)
  })

  test('in memory serve while OpenBao is down, others answer dependency-unavailable within 2 s', async () => {
    const gone = await startOpenBao()
    const { accountId, organizationId } = newOrganization()
    const secrets = createOrganizationSecrets(gone.as('leasehold-api'))
    await secrets.create(accountId, organizationId, 1)
    let now = 0
    const keys = createVaultKeys(secrets, {}, () => now)
    const ref = { ...vaultRef, accountId, organizationId, keyVersion: 1 }
    const known = await keys.get(ref)
    await gone.stop()
    now = 14 * 60_000
    expect(await keys.get(ref)).toBe(known)
    const start = performance.now()
    await expect(keys.get({ ...ref, vaultId: randomUUID() as VaultId })).rejects.toMatchObject({ code: 'dependency-unavailable', facts: { role: 'openbao' } })
    now = 15 * 60_000
    await expect(keys.get(ref)).rejects.toMatchObject({ code: 'dependency-unavailable' })
    expect(performance.now() - start).toBeLessThan(2_000)
  }, 40_000)
})
