import { sql, type RawBuilder } from 'kysely'
import { accountNameFault } from '#schemas/account-name.ts'
import type { CreateIdentity } from '#schemas/identity.ts'
import type { IdentityId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'
import { refuseFaults } from './refusals.ts'

/**
 * Name of the connector's adapter that changes such a credential on such a host; null: none does. Every kind of host changes
 * passwords; SSH keys are swapped where sshd reads them, API keys by calls; others are changed by people.
 */
export const jobAdapter = (credentialType: RawBuilder<unknown>, hostAdapter: RawBuilder<unknown>): RawBuilder<string | null> =>
  sql`case when ${credentialType} = 'password' then ${hostAdapter} when ${credentialType} = 'ssh_key' and ${hostAdapter} = 'ssh' then 'ssh-key'
    when ${credentialType} = 'api_key' and ${hostAdapter} = 'http' then 'http' end`

/** Whether some host of identity `i` cannot change its type of credential; without hosts there is none that cannot. */
export const isUnchangeable = sql<boolean>`exists (select from identity_host uh join host ut on ut.id = uh.host_id
  where uh.identity_id = i.id and ${jobAdapter(sql`i.credential_type`, sql`ut.adapter`)} is null)`

export async function canRotate(trx: Transaction, identityId: IdentityId): Promise<boolean> {
  const { rows } = await sql<{ unchangeable: boolean }>`select ${isUnchangeable} as unchangeable from identity i where i.id = ${identityId}::uuid`.execute(trx)
  return rows[0]?.unchangeable === false
}

/** Whether every host of an identity has somebody else who can set its value: an account that is refused cannot change itself. */
export async function canReconcile(trx: Transaction, identityId: IdentityId): Promise<boolean> {
  const { rows } = await sql<{ helpless: boolean }>`
    select exists (select from identity_host ih join host h on h.id = ih.host_id where ih.identity_id = ${identityId}::uuid and h.admin_identity_id is null) as helpless`.execute(
    trx,
  )
  return rows[0]?.helpless === false && canRotate(trx, identityId)
}

/**
 * A promise to rotate that nobody could keep is refused when it is made.
 *
 * @throws LeaseholdError `validation-failed`
 */
export async function refuseUnkeepable(
  trx: Transaction,
  id: IdentityId,
  settings: Partial<Pick<CreateIdentity, 'rotateAfterUse' | 'rotateAfterAccessLoss' | 'rotationIntervalDays' | 'reconcileDrift'>>,
): Promise<void> {
  const promised = [
    ...(['rotateAfterUse', 'rotateAfterAccessLoss'] as const).filter((name) => settings[name] === true),
    ...(settings.rotationIntervalDays == null ? [] : ['rotationIntervalDays']),
  ]
  const kept = promised.length === 0 || (await canRotate(trx, id))
  const healed = settings.reconcileDrift !== true || (await canReconcile(trx, id))
  refuseFaults([
    ...(kept ? [] : promised.map((path) => ({ path, message: 'needs hosts that can change this credentialType' }))),
    ...(healed ? [] : [{ path: 'reconcileDrift', message: 'needs hosts whose admin identity can change this credentialType' }]),
  ])
}

/**
 * A user name that a host of the identity would take for another one, or for more than a name, is refused before any job is made.
 *
 * @throws LeaseholdError `validation-failed`
 */
export async function refuseUnfitName(trx: Transaction, id: IdentityId): Promise<void> {
  const { rows } = await sql<{ username: string; adapter: string | null; parameters: Readonly<Record<string, unknown>> }>`
    select i.username, ${jobAdapter(sql`i.credential_type`, sql`h.adapter`)} as adapter, h.parameters
    from identity i join identity_host ih on ih.identity_id = i.id join host h on h.id = ih.host_id where i.id = ${id}::uuid`.execute(trx)
  const faults = rows.map(({ username, adapter, parameters }) => (adapter === null ? undefined : accountNameFault(adapter, username, parameters)))
  refuseFaults([...new Set(faults)].flatMap((message) => (message === undefined ? [] : [{ path: 'username', message }])))
}
