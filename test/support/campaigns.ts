import { randomBytes } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { RotationCampaignId, type IdentityId, type JobId, type RotationId } from '#schemas/ids.ts'
import type { RotationCampaign, RotationCampaignItem } from '#schemas/rotation-campaign.ts'
import type { RotationCampaignFacts } from '#schemas/rotation-campaign-facts.ts'
import type { CampaignVerb } from '#schemas/rules/rotation-campaign.ts'
import { changeRotationCampaign } from '#store/change-rotation-campaign.ts'
import { endRotationCampaign } from '#store/end-rotation-campaign.ts'
import { readRotationCampaignFacts } from '#store/rotation-campaign.ts'
import { listCampaignItems, readRotationCampaignView } from '#store/rotation-campaign-view.ts'
import { readCampaignTargets, startRotationCampaign } from '#store/start-rotation-campaign.ts'
import { takeCampaignTurn } from '#store/take-campaign-turn.ts'
import type { RotationActs } from './rotation-acts.ts'
import type { VaultWorld } from './vault-world.ts'

/** What people and the workflow do to the campaigns of a world, each as the transaction that it is. */
export interface CampaignActs {
  readonly start: (identityIds: readonly IdentityId[], atOnce?: number) => Promise<RotationCampaignId>
  readonly say: (id: RotationCampaignId, verb: CampaignVerb) => Promise<void>
  readonly turn: (id: RotationCampaignId) => Promise<boolean>
  /** Turns until there is none to take. */
  readonly advance: (id: RotationCampaignId) => Promise<void>
  readonly end: (id: RotationCampaignId) => Promise<void>
  readonly facts: (id: RotationCampaignId) => Promise<RotationCampaignFacts>
  readonly read: (id: RotationCampaignId) => Promise<Omit<RotationCampaign, 'reason'>>
  /** identity -> its item */
  readonly items: (id: RotationCampaignId) => Promise<ReadonlyMap<IdentityId, RotationCampaignItem>>
  /** Brings a rotation to its end on its one host. */
  readonly finish: (id: RotationId) => Promise<void>
}

const actor = { kind: 'workflow', id: 'a test' } as const

export function campaignActs({ account, organizationId }: VaultWorld, { asWorker, ...acts }: RotationActs): CampaignActs {
  const turn = (id: RotationCampaignId) => asWorker((trx) => takeCampaignTurn(trx, id, actor))
  return {
    turn,
    start: async (ids, atOnce = 10) => {
      const id = RotationCampaignId.parse(uuidv7())
      const named = { organizationId, identityIds: [...ids] }
      const reason = { encryptionVersion: 2, keyId: 'a1', ciphertext: randomBytes(40) } as const
      const { userId: startedBy, actor: by } = account.people.mia
      const targets = await account.run((trx) => readCampaignTargets(trx, named))
      await account.run((trx) => startRotationCampaign(trx, { id, startedBy, actor: by, atOnce, reason, targets }, named))
      return id
    },
    say: (id, verb) => account.run((trx) => changeRotationCampaign(trx, id, verb, account.people.ola.actor)),
    advance: async (id) => {
      while (await turn(id));
    },
    end: (id) => asWorker((trx) => endRotationCampaign(trx, id, actor)),
    facts: async (id) => (await asWorker((trx) => readRotationCampaignFacts(trx, id))) as RotationCampaignFacts,
    read: async (id) => (await account.run((trx) => readRotationCampaignView(trx, id))) as Omit<RotationCampaign, 'reason'>,
    items: async (id) => {
      const { items } = await account.run((trx) => listCampaignItems(trx, id, undefined, { limit: 200, after: null }))
      return new Map(items.map((item) => [item.identityId, item]))
    },
    finish: async (rotationId) => {
      const jobs = (await acts.read(rotationId)).jobs.map(({ jobId }) => jobId)
      const [jobId] = jobs.length === 0 ? await acts.open(rotationId) : jobs
      await acts.claim(jobId as JobId, 1)
      await acts.report(jobId as JobId, 1, 'confirmed')
    },
  }
}
