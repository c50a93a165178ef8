import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningConnector } from '#connector/connector.ts'
import type { ConnectorId } from '#schemas/ids.ts'
import { runConnector } from './support.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

let world: BridgeWorld
let connectorId: ConnectorId
let running: RunningConnector
beforeAll(async () => {
  world = await createBridgeWorld()
  const { id, home } = await world.joinConnector()
  connectorId = id
  running = runConnector(home)
}, 30_000)
afterAll(async () => {
  await running?.stop()
  await world?.end()
})

test('the value that reaches the target looks as the policy of its identity says', async () => {
  const { role, identityId } = await world.addAccount(connectorId)
  const passwordPolicy = { length: 40, classes: ['lower', 'digit'], minimums: { digit: 30 }, forbidden: 'l1o0' }
  expect((await world.call('PATCH', `/v1/identities/${identityId}`, { passwordPolicy })).body.passwordPolicy).toEqual(passwordPolicy)
  await world.untilRotation(await world.rotate(identityId), 'confirmed')
  const value = await world.vaulted(identityId)
  expect(value).toMatch(/^[a-km-np-z2-9]{40}$/)
  expect(value.replace(/\D/g, '').length).toBeGreaterThanOrEqual(30)
  expect(await world.target.logsIn(role.username, value)).toBe(true)
})

test('without a policy of its own the value is one that its target takes', async () => {
  const { identityId } = await world.addAccount(connectorId)
  await world.untilRotation(await world.rotate(identityId), 'confirmed')
  expect(await world.vaulted(identityId)).toMatch(/^[\w+,.~-]{32}$/)
})

test('a policy that nothing can satisfy is refused by name of the field', async () => {
  const { identityId } = await world.addAccount(connectorId)
  const answer = await world.call('PATCH', `/v1/identities/${identityId}`, { passwordPolicy: { preset: 'postgres', length: 12, minimums: { digit: 12 } } })
  expect([answer.status, answer.body.code, answer.body.errors]).toEqual([
    422,
    'validation-failed',
    [{ path: 'passwordPolicy.minimums', message: 'must fit into the length together' }],
  ])
})

test('a value that the target refuses by its own policy is never sent again: the next candidate is set, and only it logs in', async () => {
  await world.target.run(`alter role ${world.target.admin.username} set session_preload_libraries = 'passwordcheck'`)
  try {
    const { role, identityId } = await world.addAccount(connectorId)
    const rotationId = await world.rotate(identityId, role.username)
    const jobOf = async () => (await world.call('GET', `/v1/jobs?identityId=${identityId}`)).body.items[0]
    await expect.poll(jobOf, { timeout: 10_000 }).toMatchObject({
      identityId,
      rotationId,
      connectorId,
      hostId: expect.any(String),
      kind: 'reset',
      state: 'waiting',
      reason: 'policy-refused',
      attempts: 1,
      epoch: 1,
      nextAt: expect.any(String),
      finishedAt: null,
    })
    const { state, stagedVersion, jobs } = await world.drive(rotationId)
    expect({ state, stagedVersion, attempts: jobs[0]?.attempts }).toEqual({ state: 'confirmed', stagedVersion: 3, attempts: 2 })
    expect(await jobOf()).toMatchObject({ state: 'confirmed', reason: null, attempts: 2, nextAt: null, finishedAt: expect.any(String) })
    const value = await world.vaulted(identityId)
    expect(await world.target.logsIn(role.username, value)).toBe(true)
    for (const old of [role.username, role.password]) expect(await world.target.logsIn(role.username, old)).toBe(false)
    const { rows } = await world.database.superuser(
      `select action, detail->'version' as version from audit_event where rotation_id = $1 and action like 'rotation.%' order by id`,
      [rotationId],
    )
    expect(rows).toEqual([
      { action: 'rotation.requested', version: null },
      { action: 'rotation.staged', version: 2 },
      { action: 'rotation.candidate_refused', version: 2 },
      { action: 'rotation.staged', version: 3 },
      { action: 'rotation.confirmed', version: 3 },
    ])
  } finally {
    await world.target.run(`alter role ${world.target.admin.username} reset session_preload_libraries`)
  }
})
