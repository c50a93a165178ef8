import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { ReencryptionFacts, SealedText, StaleValue } from '#schemas/reencryption-facts.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { violatedConstraint } from './postgres-error.ts'
import { placeOf } from './sealed-text.ts'

/**
 * Begins to seal everything of an organization under a new version of its secret, in the transaction that records the version.
 *
 * @throws LeaseholdError `reencryption-running`
 */
export async function beginReencryption(trx: Transaction, organizationId: OrganizationId, toVersion: number): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    insert into reencryption (organization_id, to_version) values (${organizationId}::uuid, ${toVersion}::int) returning id`
    .execute(trx)
    .catch((error: unknown) => {
      throw violatedConstraint(error) === 'reencryption_running' ? new LeaseholdError('reencryption-running') : error
    })
  const [begun] = rows
  if (begun !== undefined) await owe(trx, 'reencryption', begun.id)
}

/** @throws LeaseholdError `not-found` */
export async function readReencryption(trx: Transaction, id: string): Promise<ReencryptionFacts> {
  const { rows } = await sql<ReencryptionFacts>`
    select organization_id as "organizationId", to_version as "toVersion", state from reencryption where id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return rows[0]
}

/** Sorts before every id. */
const nothing = '00000000-0000-0000-0000-000000000000'

interface Row {
  readonly identity_id: IdentityId
  readonly vault_id: VaultId
  readonly encryption_version: Sealed['encryptionVersion']
  readonly key_id: string
  readonly ciphertext: Buffer
}

/** Credentials under older keys, by identity and version. @param after the last one of the page before; null: from the start */
export async function listStaleCredentials(
  trx: Transaction,
  { organizationId, toVersion }: ReencryptionFacts,
  after: { readonly identityId: IdentityId; readonly version: number } | null,
  limit: number,
): Promise<StaleValue[]> {
  const { rows } = await sql<Row & { version: number }>`
    select c.identity_id, i.vault_id, c.version, c.encryption_version, c.key_id, c.ciphertext from credential_version c join identity i on i.id = c.identity_id
    where i.organization_id = ${organizationId}::uuid and c.ciphertext is not null and c.encryption_version = 2 and c.key_id <> ${`o${toVersion}`}::text
      and (c.identity_id, c.version) > (${after?.identityId ?? nothing}::uuid, ${after?.version ?? 0}::int)
    order by c.identity_id, c.version limit ${limit}::int`.execute(trx)
  return rows.map((row) => ({ ...staleValue(row), of: { version: row.version } }))
}

/** Texts of one kind under older keys, by id. Those in the audit log are never changed and keep their keys. @param after null: from the start */
export async function listStaleTexts(
  trx: Transaction,
  { organizationId, toVersion }: ReencryptionFacts,
  text: SealedText,
  after: string | null,
  limit: number,
): Promise<StaleValue[]> {
  const { from, subject, ciphertext, keyId } = placeOf(text)
  const { rows } = await sql<Row & { id: string }>`
    select ${subject}.identity_id, ${subject}.vault_id, t.id, 2 as encryption_version, t.${keyId} as key_id, t.${ciphertext} as ciphertext from ${from}
    where ${subject}.organization_id = ${organizationId}::uuid and t.${keyId} <> ${`o${toVersion}`}::text and t.id > ${after ?? nothing}::uuid
    order by t.id limit ${limit}::int`.execute(trx)
  return rows.map((row) => ({ ...staleValue(row), of: { text, id: row.id } }))
}

const staleValue = (row: Row) => ({
  identityId: row.identity_id,
  vaultId: row.vault_id,
  sealed: { encryptionVersion: row.encryption_version, keyId: row.key_id, ciphertext: row.ciphertext },
})

/** Replaces a ciphertext by another one of the same value; one that was changed or shredded meanwhile stays as it is. @returns whether it did */
export async function reseal(trx: Transaction, { identityId, sealed: old, of }: StaleValue, next: Sealed): Promise<boolean> {
  if ('version' in of) {
    const { numAffectedRows } = await sql`
      update credential_version set ciphertext = ${next.ciphertext}::bytea, key_id = ${next.keyId}::text, encryption_version = ${next.encryptionVersion}::int
      where identity_id = ${identityId}::uuid and version = ${of.version}::int and key_id = ${old.keyId}::text and ciphertext = ${old.ciphertext}::bytea`.execute(
      trx,
    )
    return numAffectedRows === 1n
  }
  const { table, ciphertext, keyId } = placeOf(of.text)
  const { numAffectedRows } = await sql`update ${table} set ${ciphertext} = ${next.ciphertext}::bytea, ${keyId} = ${next.keyId}::text
    where id = ${of.id}::uuid and ${keyId} = ${old.keyId}::text and ${ciphertext} = ${old.ciphertext}::bytea`.execute(trx)
  return numAffectedRows === 1n
}

/** A value did not open. @returns whether this re-encryption meets it for the first time */
export async function noteFailure(trx: Transaction, id: string, { identityId, of }: StaleValue): Promise<boolean> {
  const [place, subjectId, version] = 'version' in of ? ['credential', identityId, of.version] : [of.text, of.id, 0]
  const { numAffectedRows } = await sql`
    insert into reencryption_failure (reencryption_id, place, subject_id, version)
    values (${id}::uuid, ${place}::text, ${subjectId}::uuid, ${version}::int) on conflict do nothing`.execute(trx)
  return numAffectedRows === 1n
}

export async function countResealed(trx: Transaction, id: string, resealed: number, failed: number): Promise<void> {
  await sql`update reencryption set resealed = resealed + ${resealed}::int, failed = failed + ${failed}::int where id = ${id}::uuid`.execute(trx)
}

/** A whole pass found nothing to do any more. Doing it twice changes nothing. */
export async function finishReencryption(trx: Transaction, id: string, actor: Actor): Promise<void> {
  const { rows } = await sql<{ organizationId: OrganizationId; resealed: number; failed: number; toVersion: number }>`
    update reencryption set state = 'done', finished_at = app_clock() where id = ${id}::uuid and state = 'running'
    returning organization_id as "organizationId", resealed, failed, to_version as "toVersion"`.execute(trx)
  const [done] = rows
  if (done === undefined) return
  const { organizationId, resealed, failed, toVersion: version } = done
  await appendAudit(trx, {
    actor,
    action: 'organization_secret.reencrypted',
    effect: 'permit',
    outcome: failed === 0 ? 'success' : 'incomplete',
    organizationId,
    detail: { version, resealed, failed },
  })
  await owe(trx, 'reencryption', id, { closed: true })
}
