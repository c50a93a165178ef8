import { sql } from 'kysely'
import type { IdentityId, OrganizationId, RotationId } from '#schemas/ids.ts'
import type { NoticeSeverity } from '#schemas/notice.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'

/** Only a person gets on with this rotation from here: its row says so, and the admins are told, once. */
export async function callForPerson(trx: Transaction, rotationId: RotationId, severity: NoticeSeverity): Promise<void> {
  const { rows } = await sql<{ organizationId: OrganizationId; identityId: IdentityId; vaultId: string }>`
    update rotation set needs_attention = true, version = version + 1 where id = ${rotationId}::uuid and not needs_attention
    returning organization_id as "organizationId", identity_id as "identityId", vault_id as "vaultId"`.execute(trx)
  const [called] = rows
  if (called === undefined) return
  const { organizationId, identityId, vaultId } = called
  const subject = { type: 'rotation', id: rotationId } as const
  await raiseNotice(trx, { kind: 'rotation.needs_attention', severity, subject, organizationId, to: 'admins', facts: { identityId, vaultId } })
}
