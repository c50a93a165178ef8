import { sql } from 'kysely'
import type { ClaimFacts, ClaimRefusal } from '#schemas/job-facts.ts'
import { checkHold, checkTime } from '#schemas/rules/check.ts'
import type { Claim } from './claim-job.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { auditCheck, readCheck, type CheckRow } from './credential-check.ts'
import { owe } from './duties.ts'
import { jobAdapter } from './rotatable.ts'
import { readSealed } from './sealed-credential.ts'

/** Of one connector at once: half of its places stay free for rotations. */
const maximumAtOnce = 8

/**
 * Decides who logs in once with the known version of a host. It keeps nobody from the identity, and a rotation need not wait for it: one
 * that has begun has cancelled it. The same (job, epoch, instance) gets the same answer again.
 *
 * @throws LeaseholdError `busy`, `not-found`
 */
export async function claimCheck(trx: Transaction, claim: Claim): Promise<ClaimFacts | ClaimRefusal> {
  // Key share: a deregistration of the connector waits for us, or we see that it is no longer active.
  const { rows: active } = await sql`select from connector where id = ${claim.connectorId}::uuid and state = 'active' for key share`.execute(trx)
  const found = await readCheck(trx, claim.jobId)
  if (active.length === 0 || found === undefined) return { refused: 'gone' }
  await lockIdentity(trx, found.identityId)
  const check = await readCheck(trx, claim.jobId)
  if (check === undefined || check.connectorId !== claim.connectorId || !check.counts) return { refused: 'gone' }
  const isSame = check.state === 'claimed' && check.epoch === claim.epoch && check.instance === claim.instance && check.holdMs > 0
  if (isSame) return answer(trx, check, claim.epoch, check.holdMs)
  if (check.state !== 'waiting' || check.epoch + 1 !== claim.epoch) return { refused: 'gone' }
  if (check.taken || (await isCrowded(trx, check))) return { refused: 'later' }
  await sql`update credential_check set state = 'claimed', epoch = ${claim.epoch}::int, claims = claims + 1, offers = 0, instance = ${claim.instance}::uuid,
    claimed_at = app_clock(), lease_until = app_clock() + make_interval(secs => ${checkHold}::float8 / 1000) where id = ${check.id}::uuid`.execute(trx)
  await auditCheck(trx, check, { kind: 'connector', id: claim.connectorId }, 'job.claimed', 'success', { epoch: claim.epoch, instance: claim.instance })
  await owe(trx, 'offer', check.id, { delayMs: checkHold })
  return answer(trx, check, claim.epoch, checkHold)
}

/** One login per account on a target at once, whoever asks for it. */
async function isCrowded(trx: Transaction, check: CheckRow): Promise<boolean> {
  const { rows } = await sql<{ crowded: boolean }>`
    select (select count(*) from credential_check o where o.connector_id = ${check.connectorId}::uuid and o.state = 'claimed') >= ${maximumAtOnce}::int
      or exists (select from (select identity_id, host_id from credential_check where state = 'claimed' union all select identity_id, host_id from job where state = 'claimed') o
        join identity oi on oi.id = o.identity_id join identity i on i.id = ${check.identityId}::uuid
        where o.host_id = ${check.hostId}::uuid and oi.username = i.username) as crowded`.execute(trx)
  return rows[0]?.crowded !== false
}

type Place = Pick<ClaimFacts, 'encryptionJwk' | 'username'> & ClaimFacts['target'] & { readonly version: number }

async function answer(
  trx: Transaction,
  { id, organizationId, vaultId, identityId, connectorId }: CheckRow,
  epoch: number,
  holdMs: number,
): Promise<ClaimFacts> {
  const { rows } = await sql<Place>`
    select c.encryption_jwk as "encryptionJwk", i.username, h.id as "hostId", h.address, h.port, h.parameters, k.version,
      coalesce(${jobAdapter(sql`i.credential_type`, sql`h.adapter`)}, 'none') as adapter
    from credential_check k join connector c on c.id = k.connector_id join host h on h.id = k.host_id join identity i on i.id = k.identity_id
    where k.id = ${id}::uuid`.execute(trx)
  const [place] = rows
  const staged = place && (await readSealed(trx, identityId, vaultId, place.version))
  if (place === undefined || staged === undefined) throw new Error('a known version has no ciphertext')
  const { encryptionJwk, username, version: _version, ...target } = place
  return {
    jobId: id,
    organizationId,
    connectorId,
    kind: 'check',
    epoch,
    holdMs: Math.max(0, Math.floor(holdMs - (checkHold - checkTime))),
    encryptionJwk,
    target,
    username,
    staged,
    known: null,
    admin: null,
  }
}
