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

/** Which part of an account somebody sees: everything, these organizations, and these vaults. */
export interface Scope {
  readonly all: boolean
  readonly organizationIds: readonly string[]
  readonly vaultIds: readonly string[]
}

export const everything: Scope = { all: true, organizationIds: [], vaultIds: [] }

/**
 * Whether a row lies in the scope.
 *
 * @param vaultId column with the vault; absent: rows belong to organizations only
 */
export const inScope = ({ all, organizationIds, vaultIds }: Scope, organizationId: RawBuilder<unknown>, vaultId?: RawBuilder<unknown>): RawBuilder<boolean> =>
  sql<boolean>`(${all}::boolean or ${organizationId} = any(${organizationIds}::uuid[]) or ${vaultId ?? sql`null::uuid`} = any(${vaultIds}::uuid[]))`
