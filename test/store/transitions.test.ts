import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  breakGlassReviewTransitions,
  accessRequestTransitions,
  checkTransitions,
  connectorTransitions,
  jobTransitions,
  deliveryTransitions,
  leaseTransitions,
  recertificationItemTransitions,
  recertificationTransitions,
  reencryptionTransitions,
  campaignItemTransitions,
  rotationCampaignTransitions,
  rotationTransitions,
  supportAccessTransitions,
  type Transitions,
} from '#schemas/rules/transitions.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())

const tables: Readonly<Record<string, Transitions<never>>> = {
  lease: leaseTransitions,
  rotation: rotationTransitions,
  rotation_campaign: rotationCampaignTransitions,
  campaign_item: campaignItemTransitions,
  job: jobTransitions,
  credential_check: checkTransitions,
  connector: connectorTransitions,
  access_request: accessRequestTransitions,
  reencryption: reencryptionTransitions,
  break_glass_review: breakGlassReviewTransitions,
  notice_delivery: deliveryTransitions,
  support_access: supportAccessTransitions,
  recertification: recertificationTransitions,
  recertification_item: recertificationItemTransitions,
}

test.each(Object.keys(tables))('the database knows the same transitions of a %s as the code', async (noun) => {
  const { rows } = await database.superuser('select from_state, to_state from state_transition where noun = $1', [noun])
  const stored = rows.map((row) => `${row.from_state} -> ${row.to_state}`).sort()
  const written = Object.entries(tables[noun] as Transitions<string>)
    .flatMap(([from, to]) => to.map((state) => `${from} -> ${state}`))
    .sort()
  expect(stored).toEqual(written)
})

test('audit events cannot be changed or removed, even by the owner of the tables', async () => {
  await database.superuser(`insert into account (id, name) values ('00000000-0000-4000-8000-000000000001', 'a')`)
  await database.superuser(
    `insert into audit_event (account_id, actor_kind, action, effect, outcome) values ('00000000-0000-4000-8000-000000000001', 'system', 'x', 'permit', 'success')`,
  )
  await expect(database.superuser(`update audit_event set action = 'y'`)).rejects.toThrow(/never changed or removed/)
  await expect(database.superuser('delete from audit_event')).rejects.toThrow(/never changed or removed/)
  await expect(database.superuser('truncate audit_event cascade')).rejects.toThrow(/never changed or removed/)
  expect((await database.superuser('select count(*)::int as n from audit_pending')).rows).toEqual([{ n: 1 }])
})
