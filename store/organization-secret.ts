import { sql, type RawBuilder } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { OrganizationId } from '#schemas/ids.ts'
import type { OrganizationSecret } from '#schemas/organization.ts'
import { sealedTexts, type SealedText } from '#schemas/reencryption-facts.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { beginReencryption } from './reencryption.ts'
import { lockOrganization, readOrganization } from './organization.ts'
import { placeOf } from './sealed-text.ts'

/**
 * Which version of the secret a caller may make in OpenBao next. Asked before OpenBao is, and again by
 * `recordOrganizationSecret` under the lock.
 *
 * @param first true: there must be none yet (PUT); false: there must be one (rotate)
 * @throws LeaseholdError `not-found`, `organization-secret-exists`, `organization-secret-not-found`
 */
export async function nextSecretVersion(trx: Transaction, id: OrganizationId, first: boolean): Promise<number> {
  const { secretVersion } = await readOrganization(trx, id)
  if (first && secretVersion !== null) throw new LeaseholdError('organization-secret-exists')
  if (!first && secretVersion === null) throw new LeaseholdError('organization-secret-not-found')
  return (secretVersion ?? 0) + 1
}

/**
 * New values are encrypted under `version` from now on. Older versions stay for what names them.
 *
 * @param version was made in OpenBao before
 * @throws LeaseholdError `organization-secret-exists`, `stale-state` (somebody else was faster)
 */
export async function recordOrganizationSecret(trx: Transaction, id: OrganizationId, version: number, actor: Actor): Promise<void> {
  await lockOrganization(trx, id)
  const next = await nextSecretVersion(trx, id, version === 1)
  if (next !== version) throw new LeaseholdError('stale-state')
  await sql`insert into organization_secret (organization_id, version) values (${id}::uuid, ${version}::int)`.execute(trx)
  await sql`update organization set secret_version = ${version}::int, version = version + 1 where id = ${id}::uuid`.execute(trx)
  if (version > 1) await beginReencryption(trx, id, version)
  const action = version === 1 ? 'organization_secret.set' : 'organization_secret.rotated'
  await appendAudit(trx, { actor, action, effect: 'permit', outcome: 'success', organizationId: id, detail: { version } })
}

/** How many texts of one kind are sealed under version `s`. */
function countOf(text: SealedText): RawBuilder<unknown> {
  const { from, subject, keyId } = placeOf(text)
  return sql`(select count(*)::int from ${from} where ${subject}.organization_id = s.organization_id and t.${keyId} = 'o' || s.version)`
}

/** @throws LeaseholdError `not-found` */
export async function readOrganizationSecret(trx: Transaction, id: OrganizationId): Promise<OrganizationSecret> {
  const { secretVersion } = await readOrganization(trx, id)
  const { rows } = await sql<{ version: number; createdAt: Date; credentials: number; texts: number }>`
    select s.version, s.created_at as "createdAt",
      (select count(*)::int from credential_version c join identity i on i.id = c.identity_id
        where i.organization_id = s.organization_id and c.ciphertext is not null
          and (c.key_id = 'o' || s.version or s.version = 1 and c.encryption_version = 1)) as credentials,
      ${sql.join(sealedTexts.map(countOf), sql` + `)} as texts
    from organization_secret s where s.organization_id = ${id}::uuid order by s.version`.execute(trx)
  const { rows: reencryptions } = await sql<NonNullable<OrganizationSecret['reencryption']>>`
    select state, to_version as "toVersion", resealed, failed from reencryption where organization_id = ${id}::uuid order by started_at desc limit 1`.execute(
    trx,
  )
  return {
    reencryption: reencryptions[0] ?? null,
    state: secretVersion === null ? 'absent' : 'set',
    version: secretVersion,
    versions: rows.map((row) => ({ ...row, createdAt: row.createdAt.toISOString() })),
  }
}
