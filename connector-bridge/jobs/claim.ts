import { createHash } from 'node:crypto'
import { jobType, type ClaimAnswer, type ClaimRequest, type JobDigest, type SealedJob } from '#schemas/connector-message.ts'
import type { AccountId, ConnectorId } from '#schemas/ids.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { ClaimFacts, SealedCredential } from '#schemas/job-facts.ts'
import { Secret } from '#schemas/secret.ts'
import { jobMacKey, seal } from '#secrets/envelope.ts'
import { sealForConnector } from '#secrets/job-sealing.ts'
import { readableBySsh } from '#secrets/ssh-key-form.ts'
import { openStored } from '#secrets/stored-value.ts'
import type { Transit } from '#secrets/transit.ts'
import type { VaultKeys } from '#secrets/vault-keys.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { jobActs } from '#store/job-acts.ts'
import { recordTampering } from '#store/tampering.ts'
import { upgradeValue, type Upgrade } from '#store/upgrade-value.ts'

/** Who speaks, known from the NATS account and the subject, never from what is said. */
export interface Speaker {
  readonly accountId: AccountId
  readonly connectorId: ConnectorId
}

export interface ClaimParts {
  readonly db: Db
  readonly vaultKeys: VaultKeys
  readonly transit: Transit
}

/**
 * Answers a claim. The decision is committed before any value is opened: from then on nobody else can hold the account, and
 * a crash of ours leaves a claim that lapses, never a secret without a claim.
 */
export async function answerClaim(parts: ClaimParts, { accountId, connectorId }: Speaker, request: ClaimRequest): Promise<ClaimAnswer> {
  const { jobId, epoch, instance } = request
  const facts = await inAccount(parts.db, accountId, async (trx) => (await jobActs(trx, jobId)).claim(trx, { jobId, epoch, instance, connectorId }))
  if ('refused' in facts) return { v: 1, refused: facts.refused }
  // crash point: claim committed
  const actor = { kind: 'connector', id: connectorId } as const
  try {
    const { jwe, upgrades } = await sealJob(parts, facts, instance)
    for (const upgrade of upgrades) await inAccount(parts.db, accountId, (trx) => upgradeValue(trx, upgrade, actor))
    return { v: 1, jwe }
  } catch (error) {
    if (error instanceof LeaseholdError && error.code === 'decryption-failed') {
      await inAccount(parts.db, accountId, (trx) => recordTampering(trx, { actor, organizationId: facts.organizationId, identityId: facts.staged.identityId }))
    }
    throw error
  }
}

/** Where a value may be a private key. */
const sshAdapters: ReadonlySet<string> = new Set(['ssh', 'ssh-key'])

/** @returns the sealed job, and what it holds of before vault keys, sealed anew */
async function sealJob(
  { vaultKeys, transit }: ClaimParts,
  facts: ClaimFacts,
  instance: string,
): Promise<{ readonly jwe: string; readonly upgrades: readonly Upgrade[] }> {
  const { jobId, epoch, connectorId, kind, holdMs, target, username, staged, known, admin } = facts
  const upgrades: Upgrade[] = []
  const value = async ({ identityId, version, sealed, vaultKey, legacyOpen }: SealedCredential): Promise<string> => {
    const { organizationId, vaultId } = vaultKey
    const isLegacy = sealed.encryptionVersion !== 2
    const [vault, legacy] = await Promise.all([
      vaultKeys.get(vaultKey),
      isLegacy && legacyOpen ? vaultKeys.legacy(vaultKey.accountId, organizationId) : undefined,
    ])
    const belongsTo = { identityId, version, purpose: 'credential' } as const
    const opened = openStored({ vault, legacy }, belongsTo, sealed)
    if (isLegacy) upgrades.push({ organizationId, vaultId, identityId, version, old: sealed, next: seal(vault, belongsTo, opened) })
    const text = opened.expose()
    return sshAdapters.has(target.adapter) ? readableBySsh(text) : text
  }
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
  return { jwe: await sealForConnector(facts.encryptionJwk, Secret.of(await signed(transit, job)), { jobId, epoch }), upgrades }
}

/** Signed before it is sealed, and by its digest, so that no value goes to whoever holds the key. */
async function signed(transit: Transit, job: SealedJob): Promise<string> {
  const text = JSON.stringify(job)
  const { connectorId, jobId, epoch } = job
  const digest: JobDigest = { v: 1, connectorId, jobId, epoch, digest: createHash('sha256').update(text).digest('base64url') }
  return `${await transit.signJws(await transit.signingKey('connector-signing'), jobType, digest)}\n${text}`
}
