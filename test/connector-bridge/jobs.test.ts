import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningConnector } from '#connector/connector.ts'
import { runConnector } from './support.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

let world: BridgeWorld
let connector: { readonly id: Awaited<ReturnType<BridgeWorld['joinConnector']>>['id']; readonly home: string }
let running: RunningConnector
beforeAll(async () => {
  world = await createBridgeWorld()
  connector = await world.joinConnector()
  running = runConnector(connector.home)
}, 30_000)
afterAll(async () => {
  await running.stop()
  await world.end()
})

test('a rotation is offered, claimed, done and proven: the vaulted value logs in and the old one is refused', async () => {
  const { role, identityId } = await world.addAccount(connector.id)
  const rotation = await world.untilRotation(await world.rotate(identityId), 'confirmed')
  expect(rotation.jobs.map(({ state, epoch, attempts }) => ({ state, epoch, attempts }))).toEqual([{ state: 'confirmed', epoch: 1, attempts: 1 }])
  const value = await world.vaulted(identityId)
  expect(value).not.toBe(role.password)
  expect(await world.target.logsIn(role.username, value)).toBe(true)
  expect(await world.target.logsIn(role.username, role.password)).toBe(false)
  const figures = await world.metrics.render()
  expect(figures).toMatch(/^leasehold_job_claims_granted_total 1$/m)
  expect(figures).toMatch(/^leasehold_job_results_total{outcome="recorded"} 1$/m)
  expect(figures).toMatch(/^leasehold_duties_delivered_total{kind="offer"} \d+$/m)
})
