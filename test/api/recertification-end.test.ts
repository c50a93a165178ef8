import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RecertificationId } from '#schemas/ids.ts'
import { acme } from '#stack/people.ts'
import { readRecertificationFacts } from '#store/recertification.ts'
import { remindOfRecertification } from '#store/settle-recertification.ts'
import { idpOf, roleOf } from './people-calls.ts'
import { createRecertificationWorld, type RecertificationWorld } from './recertification-world.ts'

let world: RecertificationWorld
beforeAll(async () => {
  world = await createRecertificationWorld()
})
afterAll(() => world?.end())

/** @returns ids of a vault that these people were given, and of a recertification of it */
async function asked(people: readonly string[], body: object = {}): Promise<{ readonly vaultId: string; readonly id: string }> {
  const vaultId = await world.newVault()
  for (const sub of people) await world.grant(vaultId, sub)
  return { vaultId, id: await world.start({ vaultIds: [vaultId], ...body }) }
}
const grantsOf = async (vaultId: string) => (await world.call('mia', 'GET', `/v1/identity-groups/${vaultId}/grants`)).body.items
const decisions = async (id: string) => Object.fromEntries((await world.items(id)).map((item) => [`${item.kind} ${item.principal.name}`, item.decision]))
/** What the log says was decided about an item, newest first. */
const logged = async (itemId: string) =>
  (
    await world.database.superuser(
      `select outcome, detail ->> 'decider' as decider from audit_event where action = 'recertification.decided' and detail ->> 'itemId' = $1 order by id desc`,
      [itemId],
    )
  ).rows
const revocations = async (grantId: string | null) =>
  (await world.database.superuser(`select actor_sub as sub from audit_event where action = 'grant.revoked' and detail ->> 'grantId' = $1`, [grantId])).rows
const workflow = (id: string) => ({ kind: 'workflow', id: `recertification:${acme.id}:${id}` }) as const

describe('when its time is over', () => {
  test('silence keeps what nobody has decided about, where it was opened so', async () => {
    const { vaultId, id } = await asked(['sam', 'vic'])
    await world.decide('ola', id, (await world.itemOf(id, 'grant', 'Sam')).id, 'remove')
    await world.settle(id)
    expect((await world.call('mia', 'GET', `/v1/recertifications/${id}`)).body.state).toBe('open')
    await world.due(id)
    await world.settle(id)
    expect(await decisions(id)).toMatchObject({ 'grant Sam Operator': 'remove', 'grant Vic Viewer': 'keep', 'role Mia Owner': 'keep' })
    expect(await grantsOf(vaultId)).toHaveLength(1)
    expect(await logged((await world.itemOf(id, 'grant', 'Vic')).id)).toEqual([{ outcome: 'keep', decider: 'silence' }])
  })

  test('silence removes it where it was opened so: leases end, the last owner stays and is listed, and admins hear of the counts', async () => {
    const sub = `temp-${randomUUID()}`
    const { id: temp } = (await world.post('mia', '/v1/users', { sub })).body
    const { id: roleId } = (await world.post('mia', '/v1/roles', { name: sub, permissions: ['pam_vaults.view'] })).body
    await world.post('mia', `/v1/roles/${roleId}/assignments`, { principal: { type: 'user', id: temp }, organizationId: world.organizationId })
    const { vaultId, id } = await asked(['sam', 'vic', 'ola'], { onSilence: 'remove' })
    const identityId = await world.addIdentity(randomUUID(), { identityGroupId: vaultId })
    const lease = (await world.post('sam', `/v1/identities/${identityId}/checkout`, { reason: 'x', durationMinutes: 30 })).body.lease.id
    const [ofVic] = (await grantsOf(vaultId)).filter(({ principal }: { principal: { name: string } }) => principal.name === 'Vic Viewer')
    expect((await world.call('mia', 'DELETE', `/v1/identity-groups/${vaultId}/grants/${ofVic.id}`)).status).toBe(204)
    // Who works on in this account is kept by hand.
    for (const item of (await world.items(id)).filter(({ kind, principal }) => kind === 'role' && !/^(temp|Mia)/.test(principal.name)))
      expect((await world.decide(item.principal.name.startsWith('Ola') ? 'mia' : 'ola', id, item.id, 'keep')).status).toBe(200)
    await world.due(id)
    await world.settle(id)
    expect(await decisions(id)).toEqual({
      'grant Sam Operator': 'remove',
      'grant Vic Viewer': 'gone',
      'grant Ola Admin': 'remove',
      'role Mia Owner': 'refused',
      [`role ${sub}`]: 'remove',
      'role Ola Admin': 'keep',
      'role Sam Operator': 'keep',
      'role Vic Viewer': 'keep',
      'role Axe Auditor': 'keep',
    })
    expect(await grantsOf(vaultId)).toEqual([])
    expect((await world.call(sub, 'GET', '/v1/identity-groups')).status).toBe(403)
    expect((await world.call('mia', 'GET', '/v1/me')).body.owner).toBe(true)
    // The loop of the worker ends what rests on it; here its duty is what is left.
    const { rows } = await world.database.superuser('select from obligation where kind = $1 and subject_id = $2 and delivered < version', [
      'vault_access',
      vaultId,
    ])
    expect([rows.length, (await world.call('mia', 'GET', `/v1/leases/${lease}`)).body.state]).toEqual([1, 'active'])
    const [notice] = (await world.call('mia', 'GET', `/v1/notices?subjectId=${id}`)).body.items
    expect(notice).toMatchObject({ kind: 'recertification.ended', severity: 'warning', facts: { open: 0, keep: 4, remove: 3, refused: 1, gone: 1 } })
    expect(notice.recipientIds).toEqual(['mia', 'ola'].map((admin) => acme.users.find((user) => user.sub === admin)?.id))
  })

  test('it is settled in batches, ends behind the last one, and once', async () => {
    const { id } = await asked(['sam', 'vic', 'ola', 'axe'])
    const { length } = await world.items(id)
    await world.due(id)
    const open: number[] = []
    for (let left = length; left > 0; left -= 2) {
      expect((await world.call('mia', 'GET', `/v1/recertifications/${id}`)).body.state).toBe('open')
      await world.settle(id, 2)
      open.push((await world.items(id, '&decision=open')).length)
    }
    expect(open).toEqual(Array.from({ length: Math.ceil(length / 2) }, (_, batch) => Math.max(0, length - 2 * (batch + 1))))
    await world.settle(id, 2)
    const { rows } = await world.database.superuser(
      `select count(*)::int as ends from audit_event where action = 'recertification.ended' and detail ->> 'recertificationId' = $1`,
      [id],
    )
    expect(rows).toEqual([{ ends: 1 }])
  })

  test('an item that somebody holds keeps no other one open', async () => {
    const { id } = await asked(['sam', 'vic'])
    const { id: held } = await world.itemOf(id, 'grant', 'Sam')
    await world.due(id)
    const { promise: freed, resolve: free } = Promise.withResolvers<void>()
    const { promise: taken, resolve: take } = Promise.withResolvers<void>()
    const holding = world.worker(async (trx) => {
      await sql`select from recertification_item where id = ${held}::uuid for no key update`.execute(trx)
      take()
      await freed
    })
    await taken
    await world.settle(id)
    expect((await world.items(id, '&decision=open')).map((item) => item.id)).toEqual([held])
    await expect(world.settle(id)).rejects.toMatchObject({ code: 'busy' })
    free()
    await holding
    await world.settle(id)
    expect((await world.call('mia', 'GET', `/v1/recertifications/${id}`)).body.state).toBe('ended')
  })

  test('nobody decides or cancels any more, whether or not a clock has settled it', async () => {
    const { id } = await asked(['sam'])
    const { id: itemId } = await world.itemOf(id, 'grant', 'Sam')
    await world.due(id)
    expect((await world.decide('ola', id, itemId, 'keep')).body).toMatchObject({ code: 'recertification-closed', state: 'ended' })
    expect((await world.post('mia', `/v1/recertifications/${id}/cancel`)).body.code).toBe('recertification-closed')
    expect((await world.call('ola', 'GET', `/v1/recertifications/${id}`)).body).toMatchObject({ state: 'open', mayDecide: false })
  })
})

test('reviewers are reminded once, when it is time and something is open', async () => {
  const { id } = await asked(['sam'])
  const remind = () => world.worker((trx) => remindOfRecertification(trx, RecertificationId.parse(id), workflow(id)))
  const facts = () => world.worker((trx) => readRecertificationFacts(trx, RecertificationId.parse(id)))
  const kinds = async () => (await world.call('ola', 'GET', `/v1/notices?subjectId=${id}`)).body.items.map(({ kind }: { kind: string }) => kind)
  await remind()
  expect(await kinds()).toEqual(['recertification.opened'])
  const day = 86_400_000
  const left = (await facts())?.reminderInMs ?? expect.unreachable()
  expect([left > day - 60_000, left <= day]).toEqual([true, true])
  await world.database.superuser('update recertification set remind_at = clock_timestamp() where id = $1', [id])
  await remind()
  await remind()
  expect([await kinds(), (await facts())?.reminderInMs]).toEqual([['recertification.reminder', 'recertification.opened'], null])
})

describe('in the same moment', () => {
  const rounds = 8

  test('two reviewers decide: a removal is never undone, and each decision stands in the log once', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const { vaultId, id } = await asked(['sam'])
      const item = await world.itemOf(id, 'grant', 'Sam')
      const answers = await Promise.all([world.decide('ola', id, item.id, 'remove'), world.decide('mia', id, item.id, round % 2 === 0 ? 'keep' : 'remove')])
      const statuses = answers.map(({ status }) => status)
      expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(0)
      expect(statuses.filter((status) => status !== 200 && status !== 409)).toEqual([])
      const after = await world.itemOf(id, 'grant', 'Sam')
      expect([after.decision, await grantsOf(vaultId)]).toEqual(['remove', []])
      expect(await revocations(item.grantId)).toHaveLength(1)
      expect(await logged(item.id)).toHaveLength(statuses.filter((status) => status === 200).length)
    }
  })

  test('the grant is revoked by its route: one of both has ended it, and the item says which', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const { vaultId, id } = await asked(['sam'])
      const item = await world.itemOf(id, 'grant', 'Sam')
      const [revoked, decided] = await Promise.all([
        world.call('mia', 'DELETE', `/v1/identity-groups/${vaultId}/grants/${item.grantId}`),
        world.decide('ola', id, item.id, 'remove'),
      ])
      expect([revoked.status, decided.status]).toEqual([204, 200])
      const [{ sub }, ...more] = await revocations(item.grantId)
      expect([decided.body.decision, more]).toEqual([sub === 'ola' ? 'remove' : 'gone', []])
    }
  })

  test('the time is over: a reviewer or silence has decided, never both', async () => {
    const deciders = new Set<string>()
    for (let round = 0; round < rounds; round += 1) {
      const { vaultId, id } = await asked(['sam'], { onSilence: 'keep' })
      const item = await world.itemOf(id, 'grant', 'Sam')
      // Every second time the clock comes first.
      await world.due(id, round % 2 === 0 ? 60 : 0)
      const settled = (async () => {
        while ((await world.call('mia', 'GET', `/v1/recertifications/${id}`)).body.state === 'open') await world.settle(id).catch(() => {})
      })()
      const [decided] = await Promise.all([world.decide('ola', id, item.id, 'remove'), settled])
      const after = await world.itemOf(id, 'grant', 'Sam')
      expect([decided.status === 200, after.decision]).toEqual(decided.status === 200 ? [true, 'remove'] : [false, 'keep'])
      expect(await logged(item.id)).toEqual([{ outcome: after.decision, decider: after.decider }])
      expect(await grantsOf(vaultId)).toHaveLength(after.decision === 'keep' ? 1 : 0)
      deciders.add(after.decider ?? '')
    }
    expect(deciders.has('silence')).toBe(true)
  })

  test('two owners remove each other: one of them stays', async () => {
    const sub = `owner-${randomUUID()}`
    const { id: second } = (await world.post('mia', '/v1/users', { sub })).body
    const owners = roleOf('mia')
    const own = async (by: string, user: string) => world.post(by, `/v1/roles/${owners}/assignments`, { principal: { type: 'user', id: user } })
    expect((await own('mia', second)).status).toBe(201)
    const { body: record } = await world.post('mia', '/v1/idp-users', { email: `${sub}@acme.example` })
    const authorization = `Bearer ${await world.issuer.token(sub, { email: `${sub}@acme.example`, email_verified: true })}`
    expect((await world.call(null, 'GET', '/v1/me', { headers: { authorization } })).body.owner).toBe(true)
    const { id } = await asked([], {
      reviewers: ['mia', 'ola'].map((reviewer) => ({ type: 'user', id: idpOf(reviewer) })).concat({ type: 'user', id: record.id }),
    })
    const items = (await world.items(id)).filter(({ what }) => what === 'Owner')
    const of = (own: boolean) => items.find(({ mayDecide }) => mayDecide !== own)?.id ?? expect.unreachable()
    const answers = await Promise.all([world.decide('mia', id, of(false), 'remove'), world.decide(sub, id, of(true), 'remove')])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, expect.toBeOneOf([403, 409])])
    const stays = answers[0].status === 200 ? 'mia' : sub
    expect((await world.call(stays, 'GET', '/v1/me')).body.owner).toBe(true)
    expect(
      (await world.items(id, '', stays))
        .filter(({ what }) => what === 'Owner')
        .map(({ decision }) => decision)
        .sort(),
    ).toEqual(['open', 'remove'])
    if (stays === sub) expect((await own(sub, acme.users[0]?.id ?? '')).status).toBe(201)
  })

  test('a reviewer loses the membership: what is decided afterwards is refused', async () => {
    const group = await world.newGroup('vic')
    const { id } = await asked(['sam'], { reviewers: [{ type: 'group', id: group }] })
    const item = await world.itemOf(id, 'grant', 'Sam')
    const [removed, decided] = await Promise.all([
      world.call('mia', 'DELETE', `/v1/idp-groups/${group}/members/${idpOf('vic')}`),
      world.decide('vic', id, item.id, 'keep'),
    ])
    expect(removed.status).toBe(204)
    expect([200, 401, 403, 404]).toContain(decided.status)
    expect((await world.decide('vic', id, item.id, 'remove')).status).toBe(404)
  })
})
