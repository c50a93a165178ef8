import { SealedJob, type ClaimAnswer, type ClaimRequest } from '#schemas/connector-message.ts'
import type { AccountId, ConnectorId } from '#schemas/ids.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { ClaimFacts, SealedCredential } from '#schemas/job-facts.ts'
import { Secret } from '#schemas/secret.ts'
import { jobMacKey, open } from '#secrets/envelope.ts'
import { sealForConnector } from '#secrets/job-sealing.ts'
import type { VaultKeys } from '#secrets/vault-keys.ts'
import { claimJob } from '#store/claim-job.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { recordTampering } from '#store/tampering.ts'

/** Who speaks, known from the NATS account and the subject, never from what is said. */
export interface Speaker {
  readonly accountId: AccountId
  readonly connectorId: ConnectorId
}

/**
 * Answers a claim. The decision is committed before any value is opened: from then on nobody else can hold the account, and
 * a crash of ours leaves a claim that lapses, never a secret without a claim.
 */
export async function answerClaim(
  parts: { readonly db: Db; readonly vaultKeys: VaultKeys },
  { accountId, connectorId }: Speaker,
  request: ClaimRequest,
): Promise<ClaimAnswer> {
  const { jobId, epoch, instance } = request
  const facts = await inAccount(parts.db, accountId, (trx) => claimJob(trx, { jobId, epoch, instance, connectorId }))
  if ('refused' in facts) return { v: 1, refused: facts.refused }
  // crash point: claim committed
  try {
    return { v: 1, jwe: await sealJob(parts.vaultKeys, facts, instance) }
  } catch (error) {
    if (error instanceof LeaseholdError && error.code === 'decryption-failed') {
      const actor = { kind: 'connector', id: connectorId } as const
      await inAccount(parts.db, accountId, (trx) => recordTampering(trx, { actor, organizationId: facts.organizationId, identityId: facts.staged.identityId }))
    }
    throw error
  }
}

async function sealJob(vaultKeys: VaultKeys, facts: ClaimFacts, instance: string): Promise<string> {
  const { jobId, epoch, connectorId, kind, holdMs, target, username, staged, known, admin } = facts
  const value = async ({ identityId, version, sealed, vaultKey }: SealedCredential): Promise<string> =>
    open(await vaultKeys.get(vaultKey), { identityId, version, purpose: 'credential' }, sealed).expose()
  const key = await vaultKeys.get(staged.vaultKey)
  const job: SealedJob = {
    v: 1,
    jobId,
    epoch,
    connectorId,
    kind,
    deadlineMs: holdMs,
    target: { address: target.address, port: target.port, adapter: target.adapter, parameters: target.parameters },
    account: { username },
    staged: await value(staged),
    known: known === null ? null : await value(known),
    admin: admin === null ? null : { username: admin.username, password: await value(admin) },
    macKey: jobMacKey(key, { jobId, epoch, instance }).toString('base64url'),
    macKeyId: key.keyId,
  }
  return sealForConnector(facts.encryptionJwk, Secret.of(job), { jobId, epoch })
}
