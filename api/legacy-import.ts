import { v5 as uuidv5, v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { IdentityId, OrganizationId } from '#schemas/ids.ts'
import { LegacyImportAnswer, LegacyImportBody, LegacyState } from '#schemas/legacy-import.ts'
import type { Transaction } from '#store/connection.ts'
import { closeForLegacy, importLegacy, openForLegacy, readImported, readLegacyState } from '#store/legacy-import.ts'
import { readOrganization } from '#store/organization.ts'
import { createOnce } from './create-once.ts'
import { legacyValues } from './legacy-values.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: OrganizationId })
const nothing = z.strictObject({})
const path = '/v1/organizations/:id/legacy-import'

const find = async (trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) => ({
  organizationId: (await readOrganization(trx, id)).id,
})

/** Rows from before vault keys (S2 "legacy"): taken and read while the organization is open for them, sealed anew when first read. */
export function legacyImportRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'get',
      path,
      action: 'organization.read',
      summary: 'Whether legacy rows are read, and how many are left',
      params,
      answers: { 200: LegacyState },
      find,
    },
    async ({ params: { id }, inAccount }) => reply(200, await inAccount((trx) => readLegacyState(trx, id))),
  )
  for (const [verb, summary, decide] of [
    ['open', 'Take and read legacy rows from now on', openForLegacy],
    ['close', 'Refuse legacy rows from now on, for good', closeForLegacy],
  ] as const) {
    route(
      {
        method: 'post',
        path: `${path}/${verb}`,
        action: 'organization.import-legacy',
        summary,
        params,
        body: nothing,
        answers: { 200: LegacyState },
        refuses: ['legacy-closed'],
        find,
      },
      async ({ params: { id }, actor, inAccount }) => reply(200, await inAccount((trx) => decide(trx, id, actor))),
    )
  }
  route(
    {
      method: 'post',
      path,
      action: 'organization.import-legacy',
      summary: 'Import identities with values that were encrypted before vault keys, or not at all',
      params,
      body: LegacyImportBody,
      answers: { 201: LegacyImportAnswer },
      refuses: ['already-exists', 'legacy-closed', 'organization-secret-not-found', 'decryption-failed'],
      idempotent: true,
      find,
    },
    async (context) => {
      const { actor, found, body, inAccount } = context
      const values = await legacyValues(parts, inAccount, found.organizationId, body.rows)
      const idsOf = (batch: string) => body.rows.map((_, index) => IdentityId.parse(uuidv5(String(index), batch)))
      const imported = await createOnce(context, {
        id: uuidv7(),
        make: async (trx, batch) => {
          const ids = idsOf(batch)
          const identities = values.map((value, index) => ({ id: ids[index] as IdentityId, ...value }))
          await importLegacy(trx, found.organizationId, identities, actor)
          return readImported(trx, ids)
        },
        read: (trx, batch) => readImported(trx, idsOf(batch)),
      })
      return reply(201, imported)
    },
  )
}
