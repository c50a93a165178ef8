import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RotationCampaignActivities } from '#activities/rotation-campaign.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { OrganizationId, RotationCampaignId } from '#schemas/ids.ts'
import type { RotationCampaignFacts } from '#schemas/rotation-campaign-facts.ts'
import { placeLimit } from '#schemas/rules/rotation-campaign.ts'
import type { RotationCampaignState } from '#schemas/states.ts'
import { idleLook } from '#workflows/lease-step.ts'
import type { Subject } from '#workflows/messages.ts'
import { nextRotationCampaignStep } from '#workflows/rotation-campaign-step.ts'
import { minute } from './facts.ts'
import { createClock, createLab, until, type Lab } from './lab.ts'

describe('the next step of a campaign', () => {
  const facts = (fields: Partial<RotationCampaignFacts> = {}): RotationCampaignFacts => ({
    campaignId: RotationCampaignId.parse('0193c3a0-0000-7000-8000-000000000001'),
    organizationId: OrganizationId.parse('0193c3a0-0000-7000-8000-000000000002'),
    state: 'running',
    waiting: 3,
    ready: 3,
    rotating: 0,
    places: 2,
    nextPlaceInMs: null,
    ...fields,
  })

  test.each<[string, Partial<RotationCampaignFacts>, object]>([
    ['begins what is ready while there are places', {}, { do: 'begin' }],
    ['waits for the next place', { rotating: 2, places: 0, nextPlaceInMs: minute }, { do: 'wait', ms: minute }],
    ['waits for a rotation from before', { ready: 0 }, { do: 'wait', ms: idleLook }],
    ['waits for what is rotating', { waiting: 0, ready: 0, rotating: 1 }, { do: 'wait', ms: idleLook }],
    ['begins nothing while it is paused', { state: 'paused' }, { do: 'wait', ms: idleLook }],
    ['ends when everything is final', { waiting: 0, ready: 0 }, { do: 'end' }],
    ['ends when everything is final, paused or not', { state: 'paused', waiting: 0, ready: 0 }, { do: 'end' }],
    ['aborted, waits for what is rotating', { state: 'aborting', rotating: 1 }, { do: 'wait', ms: idleLook }],
    ['aborted, ends whatever waits', { state: 'aborting' }, { do: 'end' }],
    ['is finished once it is over', { state: 'aborted' }, { do: 'finish' }],
    ['is finished once it is complete', { state: 'completed' }, { do: 'finish' }],
  ])('%s', (_, fields, step) => {
    expect(nextRotationCampaignStep(facts(fields))).toEqual(step)
  })
})

/** Campaigns in memory, with the rules of their rows that the workflow depends on. */
interface Campaign {
  state: RotationCampaignState
  readonly atOnce: number
  waiting: number
  /** When each that is rotating was begun. */
  rotating: number[]
  done: number
  most: number
}

const clock = createClock()
const campaigns = new Map<string, Campaign>()
let looks = 0
let failures = 0

function open(waiting: number, atOnce: number): { readonly subject: Subject; readonly campaign: Campaign } {
  const subject = { accountId: randomUUID(), subjectId: randomUUID() }
  const campaign: Campaign = { state: 'running', atOnce, waiting, rotating: [], done: 0, most: 0 }
  campaigns.set(subject.subjectId, campaign)
  return { subject, campaign }
}
const of = ({ subjectId }: Subject): Campaign => {
  const found = campaigns.get(subjectId)
  if (found === undefined) throw new LeaseholdError('not-found')
  return found
}
const taken = ({ rotating }: Campaign) => rotating.filter((at) => at > clock.now() - placeLimit)
const placesOf = (campaign: Campaign) => Math.max(0, campaign.atOnce - taken(campaign).length)

const activities: RotationCampaignActivities = {
  lookAtRotationCampaign: async (subject) => {
    looks += 1
    if (failures > 0) {
      failures -= 1
      throw new LeaseholdError('dependency-unavailable', { role: 'postgres' })
    }
    const campaign = of(subject)
    const [oldest] = taken(campaign)
    return {
      campaignId: RotationCampaignId.parse(subject.subjectId),
      organizationId: OrganizationId.parse(subject.accountId),
      state: campaign.state,
      waiting: campaign.waiting,
      ready: campaign.waiting,
      rotating: campaign.rotating.length,
      places: placesOf(campaign),
      nextPlaceInMs: oldest === undefined ? null : Math.ceil(oldest + placeLimit - clock.now()),
    }
  },
  beginCampaignRotations: async (subject) => {
    const campaign = of(subject)
    while (campaign.state === 'running' && campaign.waiting > 0 && placesOf(campaign) > 0) {
      campaign.waiting -= 1
      campaign.rotating.push(clock.now())
      campaign.most = Math.max(campaign.most, campaign.rotating.length)
    }
  },
  endRotationCampaign: async (subject) => {
    const campaign = of(subject)
    if (campaign.rotating.length === 0) campaign.state = campaign.state === 'aborting' ? 'aborted' : 'completed'
  },
}

let lab: Lab
beforeAll(async () => {
  lab = await createLab(activities)
}, 60_000)
afterAll(() => lab?.stop())

/** One of its rotations ends, which is news. */
async function settle(subject: Subject): Promise<void> {
  const campaign = of(subject)
  campaign.rotating.shift()
  campaign.done += 1
  await lab.poke('rotation_campaign', subject)
}

describe('the workflow of a campaign', () => {
  test('begins the next rotation as each ends, never more at once, and completes', async () => {
    const { subject, campaign } = open(4, 2)
    const id = await lab.poke('rotation_campaign', subject)
    for (let done = 1; done <= 4; done += 1) {
      await until(() => campaign.rotating.length === Math.min(2, 5 - done))
      await settle(subject)
    }
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(campaign).toMatchObject({ state: 'completed', waiting: 0, done: 4, most: 2 })
    await lab.record('rotation-campaign-completed', id)
  }, 30_000)

  test('begins nothing while it is paused, and goes on when it is resumed', async () => {
    const { subject, campaign } = open(2, 1)
    const id = await lab.poke('rotation_campaign', subject)
    await until(() => campaign.rotating.length === 1)
    campaign.state = 'paused'
    const before = looks
    await settle(subject)
    await until(() => looks > before)
    expect(campaign.waiting).toBe(1)
    campaign.state = 'running'
    await lab.poke('rotation_campaign', subject)
    await until(() => campaign.rotating.length === 1)
    await settle(subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('rotation-campaign-paused', id)
  }, 30_000)

  test('aborted, it waits for what is rotating and ends', async () => {
    const { subject, campaign } = open(3, 1)
    const id = await lab.poke('rotation_campaign', subject)
    await until(() => campaign.rotating.length === 1)
    Object.assign(campaign, { state: 'aborting', waiting: 0 })
    await lab.poke('rotation_campaign', subject)
    await settle(subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(campaign).toMatchObject({ state: 'aborted', done: 1 })
    await lab.record('rotation-campaign-aborted', id)
  }, 30_000)

  test('gives the place of a rotation that goes on to the next one', async () => {
    const { subject, campaign } = open(2, 1)
    const id = await lab.poke('rotation_campaign', subject)
    await until(() => campaign.rotating.length === 1)
    await lab.pass(id, clock, placeLimit + minute)
    await until(() => campaign.rotating.length === 2)
    await settle(subject)
    await settle(subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('rotation-campaign-slow', id)
  }, 30_000)

  test('looks again until PostgreSQL answers', async () => {
    const { subject } = open(0, 1)
    failures = 3
    const id = await lab.poke('rotation_campaign', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('rotation-campaign-database-down', id)
  }, 30_000)

  test('of 1,000 identities keeps its history short', async () => {
    const { subject, campaign } = open(1_000, 50)
    const id = await lab.poke('rotation_campaign', subject)
    const limit = Date.now() + 120_000
    while (campaign.done < 1_000 && Date.now() < limit) {
      await until(() => campaign.rotating.length > 0)
      for (let ends = Math.min(10, campaign.rotating.length); ends > 0; ends -= 1) await settle(subject)
    }
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(campaign).toMatchObject({ state: 'completed', done: 1_000, most: 50 })
    const { historyLength } = await lab.temporal.client.workflow.getHandle(id).describe()
    expect(historyLength).toBeLessThan(10_000)
  }, 150_000)
})
