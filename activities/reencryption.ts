import { open, seal, type SealedFor } from '#secrets/envelope.ts'
import { findKeyVersion, type VaultKeys } from '#secrets/vault-keys.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { AccountId } from '#schemas/ids.ts'
import { sealedTexts, type ReencryptionCursor, type ReencryptionFacts, type StaleValue } from '#schemas/reencryption-facts.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { Secret } from '#schemas/secret.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { recordTampering } from '#store/tampering.ts'
import { countResealed, finishReencryption, listStaleCredentials, listStaleTexts, noteFailure, readReencryption, reseal } from '#store/reencryption.ts'
import { readVaultKeyRef } from '#store/vault.ts'
import { workflowIdOf, type Subject } from '#workflows/messages.ts'

export interface ReencryptionPage {
  readonly resealed: number
  /** Where the next page begins; null: the pass is through. */
  readonly next: ReencryptionCursor | null
}

export interface ReencryptionActivities {
  lookAtReencryption(subject: Subject): Promise<ReencryptionFacts>
  resealPage(subject: Subject, after: ReencryptionCursor | null): Promise<ReencryptionPage>
  finishReencryption(subject: Subject): Promise<void>
}

/** A value and what it is under the new key; undefined: it did not open. */
interface Resealed {
  readonly value: StaleValue
  readonly sealed: Sealed | undefined
}

const pageSize = 50

/** @param db pool of leasehold_worker */
export function createReencryptionActivities({ db, vaultKeys }: { readonly db: Db; readonly vaultKeys: VaultKeys }): ReencryptionActivities {
  const inTransaction = <T>(subject: Subject, decide: (trx: Transaction) => Promise<T>): Promise<T> => inAccount(db, AccountId.parse(subject.accountId), decide)
  const actorOf = (subject: Subject) => ({ kind: 'workflow', id: workflowIdOf('reencryption', subject) }) as const

  /** @returns undefined: it does not open, because of itself or because it names no key that there is */
  async function opened(ref: VaultKeyRef, belongsTo: SealedFor, sealed: Sealed): Promise<Secret<string> | undefined> {
    const keyVersion = findKeyVersion(sealed.keyId)
    if (keyVersion === undefined) return undefined
    try {
      return open(await vaultKeys.get({ ...ref, keyVersion }), belongsTo, sealed)
    } catch (error) {
      if (!(error instanceof LeaseholdError) || (error.code !== 'decryption-failed' && error.code !== 'organization-secret-not-found')) throw error
      return undefined
    }
  }

  async function resealed(subject: Subject, value: StaleValue, toVersion: number): Promise<Sealed | undefined> {
    const ref = await inTransaction(subject, (trx) => readVaultKeyRef(trx, value.vaultId, toVersion))
    const next = await vaultKeys.get(ref)
    const belongsTo = {
      identityId: value.identityId,
      ...('version' in value.of ? { version: value.of.version, purpose: 'credential' as const } : { version: 0, purpose: 'reason' as const }),
    }
    const text = await opened(ref, belongsTo, value.sealed)
    return text && seal(next, belongsTo, text)
  }

  /** What did not open keeps its key; it is counted and put on record by the first pass that meets it. @returns how many were sealed anew */
  async function store(trx: Transaction, subject: Subject, facts: ReencryptionFacts, values: readonly Resealed[]): Promise<number> {
    let [count, failed] = [0, 0]
    for (const { value, sealed } of values) {
      if (sealed !== undefined) {
        if (await reseal(trx, value, sealed)) count += 1
      } else if (await noteFailure(trx, subject.subjectId, value)) {
        failed += 1
        await recordTampering(trx, { actor: actorOf(subject), ...facts, ...value })
      }
    }
    await countResealed(trx, subject.subjectId, count, failed)
    return count
  }

  return {
    lookAtReencryption: (subject) => inTransaction(subject, (trx) => readReencryption(trx, subject.subjectId)),
    async resealPage(subject, after) {
      const { facts, stale } = await inTransaction(subject, async (trx) => {
        const read = await readReencryption(trx, subject.subjectId)
        return { facts: read, stale: await listStale(trx, read, after) }
      })
      const values = await Promise.all(stale.values.map(async (value) => ({ value, sealed: await resealed(subject, value, facts.toVersion) })))
      const done = await inTransaction(subject, (trx) => store(trx, subject, facts, values))
      // crash point: page resealed
      return { resealed: done, next: stale.next }
    },
    finishReencryption: (subject) => inTransaction(subject, (trx) => finishReencryption(trx, subject.subjectId, actorOf(subject))),
  }
}

/** First all credentials, then all texts, one kind after the other. */
async function listStale(
  trx: Transaction,
  facts: ReencryptionFacts,
  after: ReencryptionCursor | null,
): Promise<{ readonly values: readonly StaleValue[]; readonly next: ReencryptionCursor | null }> {
  if (after === null || 'version' in after) {
    const values = await listStaleCredentials(trx, facts, after, pageSize)
    const last = values.at(-1)
    if (last !== undefined && 'version' in last.of) return { values, next: { identityId: last.identityId, version: last.of.version } }
    return { values, next: { text: sealedTexts[0], id: null } }
  }
  const values = await listStaleTexts(trx, facts, after.text, after.id, pageSize)
  const last = values.at(-1)
  if (last !== undefined && 'text' in last.of) return { values, next: last.of }
  const following = sealedTexts[sealedTexts.indexOf(after.text) + 1]
  return { values, next: following === undefined ? null : { text: following, id: null } }
}
