import { afterAll, beforeAll, expect, test } from 'vitest'
import { idpOf } from './people-calls.ts'
import { createRecertificationWorld, type RecertificationWorld } from './recertification-world.ts'

let world: RecertificationWorld
beforeAll(async () => {
  world = await createRecertificationWorld()
})
afterAll(() => world?.end())

const kindsOf = async (id: string) => (await world.call('mia', 'GET', `/v1/notices?subjectId=${id}`)).body.items.map(({ kind }: { kind: string }) => kind)
const eventsOf = async (action: string) => (await world.call('axe', 'GET', `/v1/audit/events?action=${action}&limit=200`)).body.items

test('a cancelled one asks nobody any more, undoes nothing, and is told to the admins', async () => {
  const id = await world.start({ vaultIds: [await world.grantedVault('sam')], onSilence: 'remove' })
  const { id: itemId } = await world.itemOf(id, 'grant', 'Sam')
  await world.decide('ola', id, itemId, 'remove')
  const open = (await world.items(id)).length - 1
  const cancel = (sub: string) => world.post(sub, `/v1/recertifications/${id}/cancel`)
  expect((await cancel('vic')).status).toBe(404)
  expect((await cancel('axe')).status).toBe(403)
  expect((await cancel('mia')).body).toMatchObject({ state: 'cancelled', mayDecide: false, counts: { remove: 1, open } })
  expect((await cancel('ola')).status).toBe(200)
  expect((await world.decide('ola', id, (await world.itemOf(id, 'role', 'Vic')).id, 'keep')).body).toMatchObject({
    code: 'recertification-closed',
    state: 'cancelled',
  })
  expect(await kindsOf(id)).toEqual(['recertification.cancelled', 'recertification.opened'])
  await world.due(id)
  await world.settle(id)
  expect((await world.call('mia', 'GET', `/v1/recertifications/${id}`)).body).toMatchObject({ state: 'cancelled', counts: { open } })
})

test('nobody cancels what looks at roles that they could not take away', async () => {
  const { sub, roleId, assignmentId } = await world.newLead()
  const cancel = (who: string, id: string) => world.post(who, `/v1/recertifications/${id}/cancel`)
  const [byOwner, byAdmin, byLead] = [await world.start(), await world.start({}, 'ola'), await world.start({}, sub)]
  for (const [who, id] of [
    ['ola', byOwner],
    [sub, byOwner],
    [sub, byAdmin],
  ] as const) {
    const { status, body: problem } = await cancel(who, id)
    expect([status, problem.missing]).toEqual([403, 'to be allowed to take away every role that it is about'])
  }
  for (const [who, id] of [
    [sub, byLead],
    ['ola', byAdmin],
    ['mia', byOwner],
  ] as const)
    expect((await cancel(who, id)).body.state).toBe('cancelled')
  await world.call('mia', 'DELETE', `/v1/roles/${roleId}/assignments/${assignmentId}`)
})

test('what a reviewer found stays in the evidence when they review no more', async () => {
  const vaultId = await world.newVault()
  const grantId = await world.grant(vaultId, 'sam')
  const group = await world.newGroup('vic')
  const id = await world.start({ reviewers: [{ type: 'group', id: group }], vaultIds: [vaultId] })
  const { id: itemId } = await world.itemOf(id, 'grant', 'Sam')
  await world.call('mia', 'DELETE', `/v1/identity-groups/${vaultId}/grants/${grantId}`)
  expect((await world.decide('vic', id, itemId, 'remove')).body.decision).toBe('gone')
  await world.call('mia', 'DELETE', `/v1/idp-groups/${group}/members/${idpOf('vic')}`)
  const { events } = (await world.call('axe', 'GET', `/v1/recertifications/${id}/evidence`)).body
  expect(events).toMatchObject([{ action: 'recertification.opened' }, { action: 'recertification.decided', outcome: 'gone', actor: { sub: 'vic' } }])
})

test('the evidence is for auditors, tells each decision with its effect, and names the events that prove it', async () => {
  const vaultId = await world.grantedVault('sam')
  const group = await world.newGroup('vic')
  await world.grant(vaultId, '', { principal: { type: 'group', id: group }, level: 'view_vault' })
  const id = await world.start({ vaultIds: [vaultId] })
  const { id: itemId, grantId } = await world.itemOf(id, 'grant', 'Sam')
  await world.decide('ola', id, itemId, 'remove', 'Has left the team')
  await world.decide('ola', id, (await world.itemOf(id, 'role', 'Vic')).id, 'keep')
  const kept = (await world.items(id)).length - 1
  await world.due(id)
  await world.settle(id)
  const path = `/v1/recertifications/${id}/evidence`
  const { status, body: evidence } = await world.call('axe', 'GET', path)
  expect([status, (await world.call('ola', 'GET', path)).status]).toEqual([200, 403])
  expect(evidence.recertification).toMatchObject({ id, state: 'ended', counts: { open: 0, remove: 1, keep: kept }, reason: 'Quarterly review' })
  expect(evidence.reviewers.map(({ name }: { name: string }) => name)).toEqual(['Mia Owner', 'Ola Admin'])
  const item = (wanted: string) => evidence.items.find((one: { id: string }) => one.id === wanted)
  expect(item(itemId)).toMatchObject({ effect: 'ended', endedAt: expect.any(String), comment: 'Has left the team', decider: 'reviewer' })
  expect(item((await world.itemOf(id, 'grant', 'Group')).id)).toMatchObject({ effect: 'stays', endedAt: null, decider: 'silence', decidedBy: null })
  const proofs = evidence.events.map(({ action, outcome }: { action: string; outcome: string }) => `${action} ${outcome}`)
  const times = (wanted: string) => proofs.filter((proof: string) => proof === wanted).length
  expect(
    [
      'recertification.opened success',
      'grant.revoked success',
      'recertification.decided remove',
      'recertification.decided keep',
      'recertification.ended success',
    ].map(times),
  ).toEqual([1, 1, 1, kept, 1])
  expect(evidence.events.find(({ action }: { action: string }) => action === 'grant.revoked')).toMatchObject({ actor: { sub: 'ola' }, detail: { grantId } })
  expect(evidence.told.map(({ kind }: { kind: string }) => kind)).toEqual(['recertification.ended', 'recertification.opened'])
  expect((await eventsOf('audit.read')).some(({ detail }: { detail: Record<string, unknown> | null }) => detail?.['recertificationId'] === id)).toBe(true)
})
