import { sql, type RawBuilder } from 'kysely'
import type { PageRequest } from '#schemas/page.ts'

/**
 * The end of a collection query: items after the cursor, by id (ids are made in the order of time), one more than the
 * limit so that `toPage` knows whether there is a next page.
 *
 * @param id column of the item's id
 */
export const pageClause = (id: RawBuilder<unknown>, { limit, after }: PageRequest): RawBuilder<unknown> =>
  sql`and (${after}::uuid is null or ${id} > ${after}::uuid) order by ${id} limit ${limit + 1}::int`

/** Which vaults somebody sees: those of whole organizations (null: of all), and single ones by grant. */
export interface VaultScope {
  readonly organizationIds: readonly string[] | null
  readonly vaultIds: readonly string[]
}

export const everyVault: VaultScope = { organizationIds: null, vaultIds: [] }

/** Whether a row lies in the scope. */
export const inScope = ({ organizationIds, vaultIds }: VaultScope, organizationId: RawBuilder<unknown>, vaultId: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql<boolean>`(${organizationIds}::uuid[] is null or ${organizationId} = any(${organizationIds}::uuid[]) or ${vaultId} = any(${vaultIds}::uuid[]))`
