import { passwordHash, seal } from '#secrets/envelope.ts'
import { freshValue } from '#secrets/fresh-value.ts'
import { generatePassword, rulesFor } from '#secrets/password-generator.ts'
import { generateSshKey } from '#secrets/ssh-key-pair.ts'
import type { VaultKeys } from '#secrets/vault-keys.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { AccountId, JobId, RotationId } from '#schemas/ids.ts'
import type { RotationFacts } from '#schemas/rotation-facts.ts'
import type { Secret } from '#schemas/secret.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { notifyDuties } from '#store/duties.ts'
import { lapseClaim, openJobs, raiseAttention } from '#store/job.ts'
import { readRotationFacts, rotationMaterial, type RotationMaterial } from '#store/rotation.ts'
import { settleRotation } from '#store/settle-rotation.ts'
import { stageVersion } from '#store/stage-version.ts'
import { tellStuck } from '#store/stuck-rotation.ts'
import { workflowIdOf, type Subject } from '#workflows/messages.ts'

export interface RotationActivities {
  lookAtRotation(subject: Subject): Promise<RotationFacts>
  stageRotation(subject: Subject): Promise<void>
  openRotationJobs(subject: Subject): Promise<void>
  lapseClaim(subject: Subject, jobId: string, epoch: number): Promise<void>
  raiseRotationAttention(subject: Subject): Promise<void>
  tellRotationStuck(subject: Subject): Promise<void>
  settleRotation(subject: Subject): Promise<void>
}

/** @param db pool of leasehold_worker */
export function createRotationActivities({ db, vaultKeys }: { readonly db: Db; readonly vaultKeys: VaultKeys }): RotationActivities {
  const inTransaction = <T>(subject: Subject, decide: (trx: Transaction, id: RotationId) => Promise<T>): Promise<T> =>
    inAccount(db, AccountId.parse(subject.accountId), (trx) => decide(trx, RotationId.parse(subject.subjectId)))
  const actorOf = (subject: Subject) => ({ kind: 'workflow', id: workflowIdOf('rotation', subject) }) as const

  /** The bridge polls besides, so a lost notification only costs time. */
  const wakeBridge = () => notifyDuties(db).catch(() => {})

  return {
    async lookAtRotation(subject) {
      const facts = await inTransaction(subject, readRotationFacts)
      if (facts === undefined) throw new LeaseholdError('not-found')
      return facts
    },
    /** The value is made and sealed here and goes to PostgreSQL only; run twice, the first one stays. */
    async stageRotation(subject) {
      const material = await inTransaction(subject, rotationMaterial)
      if (material.stagedVersion !== null) return
      const key = await vaultKeys.get(material.vaultKey)
      const old = await Promise.all(material.history.map(async ({ key: made, hash }) => ({ key: await vaultKeys.get(made), hash })))
      const { value, publicKey } = freshValue(generatorFor(material), old)
      const sealed = seal(key, { identityId: material.identityId, version: material.nextVersion, purpose: 'credential' }, value)
      const staged = { version: material.nextVersion, sealed, hash: passwordHash(key, value), ...(publicKey === undefined ? {} : { publicKey }) }
      // crash point: value made
      await inTransaction(subject, (trx, id) => stageVersion(trx, id, staged, actorOf(subject)))
      // crash point: value staged
    },
    async openRotationJobs(subject) {
      await inTransaction(subject, openJobs)
      // crash point: jobs opened
      await wakeBridge()
    },
    async lapseClaim(subject, jobId, epoch) {
      await inTransaction(subject, (trx) => lapseClaim(trx, JobId.parse(jobId), epoch))
      await wakeBridge()
    },
    raiseRotationAttention: (subject) => inTransaction(subject, raiseAttention),
    tellRotationStuck: (subject) => inTransaction(subject, (trx, id) => tellStuck(trx, id, actorOf(subject))),
    async settleRotation(subject) {
      await inTransaction(subject, (trx, id) => settleRotation(trx, id, actorOf(subject)))
    },
  }
}

function generatorFor({ credentialType, passwordPolicy, adapters }: RotationMaterial): () => { readonly value: Secret<string>; readonly publicKey?: string } {
  if (credentialType === 'ssh_key') return generateSshKey
  const rules = rulesFor(credentialType, passwordPolicy, adapters)
  return () => ({ value: generatePassword(rules) })
}
