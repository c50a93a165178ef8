import { afterAll, beforeAll, expect, test } from 'vitest'
import { AccountId, IdentityId } from '#schemas/ids.ts'
import { lockIdentity } from '#store/checkout-facts.ts'
import { inAccount } from '#store/connection.ts'
import { acme } from '#stack/people.ts'
import { hold } from '../support/hold.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const checkout = (identityId: string) => world.post('sam', `/v1/identities/${identityId}/checkout`, { reason: 'deploy 42', durationMinutes: 30 })

test('20 that wait for one identity do not delay the checkout of another one', async () => {
  const [stuck, free] = [await world.addIdentity('stuck'), await world.addIdentity('free')]
  const other = world.database.as('leasehold_worker')
  const holder = hold(
    (decide) => inAccount(other, AccountId.parse(acme.id), decide),
    (trx) => lockIdentity(trx, IdentityId.parse(stuck)),
  )
  await holder.reached
  const waiting = Array.from({ length: 20 }, () => checkout(stuck))
  let settled = 0
  for (const one of waiting) void one.then(() => (settled += 1))
  // The pool of this API has 8 connections. Who waits in it for a lock keeps others from theirs.
  const inThePool = async (): Promise<number> =>
    (await world.database.superuser(`select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)).rows[0]
      .n
  await expect.poll(inThePool).toBeGreaterThan(0)
  const { status } = await checkout(free)
  expect([status, settled]).toEqual([201, 0])
  expect(await inThePool()).toBeLessThanOrEqual(2)
  holder.go()
  await holder.result
  const answers = await Promise.all(waiting)
  expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1)
  expect(answers.filter((answer) => answer.status !== 201 && answer.body.code !== 'identity-checked-out')).toEqual([])
})
