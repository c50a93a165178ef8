import { randomBytes } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, OrganizationId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import type { OpenBao } from './openbao.ts'
import { unwrap, wrap } from './wrapping.ts'
import { writeOnce } from './write-once.ts'

export interface OrganizationSecrets {
  /**
   * Makes version `version` (from 1) of an organization's secret: 32 random bytes, wrapped by a transit key and kept in OpenBao.
   * A version is never overwritten; making one that is there already changes nothing.
   */
  create(accountId: AccountId, organizationId: OrganizationId, version: number): Promise<void>
  /** @throws LeaseholdError `organization-secret-not-found`, `dependency-unavailable` */
  read(accountId: AccountId, organizationId: OrganizationId, version: number): Promise<Secret<Buffer>>
}

const wrappingKey = 'org-wrap'

export function createOrganizationSecrets(bao: OpenBao): OrganizationSecrets {
  const pathOf = (accountId: AccountId, organizationId: OrganizationId, version: number) => [
    'leasehold',
    'data',
    'organizations',
    accountId,
    organizationId,
    String(version),
  ]
  return {
    async create(accountId, organizationId, version) {
      const wrapped = await wrap(bao, wrappingKey, Secret.of(randomBytes(32)))
      await writeOnce(bao, pathOf(accountId, organizationId, version), { wrapped })
    },
    async read(accountId, organizationId, version) {
      const found = await bao.read<{ data: { wrapped: string } | null }>(pathOf(accountId, organizationId, version))
      if (!found?.data) throw new LeaseholdError('organization-secret-not-found')
      return unwrap(bao, wrappingKey, found.data.wrapped)
    },
  }
}
