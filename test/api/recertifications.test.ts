import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { idpOf, roleOf } from './people-calls.ts'
import { comment, createRecertificationWorld, inHours, type RecertificationWorld } from './recertification-world.ts'

let world: RecertificationWorld
beforeAll(async () => {
  world = await createRecertificationWorld()
})
afterAll(() => world?.end())

const userOf = (sub: string) => acme.users.find((user) => user.sub === sub)?.id ?? expect.unreachable()
const user = (sub: string) => ({ type: 'user', id: idpOf(sub) })
const body = (more: object = {}) => ({
  name: 'Fourth quarter',
  organizationId: world.organizationId,
  reviewers: [user('mia'), user('ola')],
  dueAt: inHours(48),
  onSilence: 'keep',
  reason: 'Quarterly review',
  ...more,
})
const eventsOf = async (action: string) => (await world.call('axe', 'GET', `/v1/audit/events?action=${action}&limit=200`)).body.items

describe('a recertification is opened', () => {
  test('with one item for each grant and role: who, what, since and until when, by whom, used when last', async () => {
    const vaultId = await world.newVault()
    const identityId = await world.addIdentity(randomUUID(), { identityGroupId: vaultId })
    const until = inHours(500)
    const group = await world.newGroup('vic')
    const grantId = await world.grant(vaultId, 'sam', { expiresAt: until })
    await world.grant(vaultId, 'sam', { principal: { type: 'group', id: group }, level: 'view_vault' })
    expect((await world.post('sam', `/v1/identities/${identityId}/reveal`, {})).status).toBe(200)
    const created = await world.post('mia', '/v1/recertifications', body({ vaultIds: [vaultId] }))
    expect([created.status, created.body]).toEqual([
      201,
      {
        ...body({ vaultIds: [vaultId], dueAt: expect.any(String) }),
        reviewers: [
          { ...user('mia'), name: 'Mia Owner' },
          { ...user('ola'), name: 'Ola Admin' },
        ],
        id: expect.any(String),
        state: 'open',
        startedBy: { id: userOf('mia'), name: 'Mia Owner' },
        openedAt: expect.any(String),
        closedAt: null,
        counts: { open: 7, keep: 0, remove: 0, refused: 0, gone: 0 },
        mayDecide: true,
      },
    ])
    const items = await world.items(created.body.id)
    expect(items.filter(({ kind }) => kind === 'grant').map(({ level, principal }) => [level, principal.type])).toEqual(
      expect.arrayContaining([
        ['checkout', 'user'],
        ['view_vault', 'group'],
      ]),
    )
    const ofSam = items.find((item) => item.grantId === grantId) ?? expect.unreachable()
    expect(ofSam).toMatchObject({
      identityGroupId: vaultId,
      principal: { ...user('sam'), name: 'Sam Operator' },
      until: new Date(until).toISOString(),
      grantedBy: { id: userOf('mia'), name: 'Mia Owner' },
      decision: 'open',
      decider: null,
      mayDecide: true,
    })
    expect(Date.now() - new Date(ofSam.lastUsedAt ?? 0).getTime()).toBeLessThan(60_000)
    expect(items.filter(({ kind }) => kind === 'role').map(({ what }) => what)).toEqual(['Admin', 'Auditor', 'Operator', 'Owner', 'Viewer'])
    expect(items.find(({ what }) => what === 'Operator')).toMatchObject({ roleId: roleOf('sam'), organizationId: null, lastUsedAt: expect.any(String) })
    // Nobody has used a vault that they only see.
    expect(items.find(({ level }) => level === 'view_vault')?.lastUsedAt).toBeNull()
  })

  test('its reviewers are told, its reason is sealed, and auditors read it', async () => {
    const reason = `Control ${randomUUID()}`
    const id = await world.start({ reason })
    const [notice] = (await world.call('mia', 'GET', `/v1/notices?subjectId=${id}`)).body.items
    expect([notice.kind, notice.recipientIds]).toEqual(['recertification.opened', [userOf('mia'), userOf('ola')]])
    const { rows } = await world.database.superuser(
      'select r::text as text from recertification r union all select e::text from audit_event e union all select n::text from notice n',
    )
    expect(rows.some(({ text }) => text.includes(reason))).toBe(false)
    expect((await world.call('axe', 'GET', `/v1/recertifications/${id}`)).body.reason).toBe(reason)
    expect((await eventsOf('recertification.opened'))[0]).toMatchObject({ reason, organizationId: world.organizationId, detail: { recertificationId: id } })
  })

  test('and read page by page, by what was decided', async () => {
    const id = await world.start()
    const all = (await world.items(id)).map((item) => item.id)
    const paged: string[] = []
    let cursor = ''
    do {
      const page = (await world.call('ola', 'GET', `/v1/recertifications/${id}/items?decision=open&limit=2${cursor}`)).body
      paged.push(...page.items.map((item: { id: string }) => item.id))
      cursor = page.nextCursor === undefined ? '' : `&cursor=${page.nextCursor}`
    } while (cursor !== '')
    expect(paged).toEqual(all)
    expect(await world.items(id, '&decision=keep')).toEqual([])
    const list = async (sub: string) => (await world.call(sub, 'GET', '/v1/recertifications')).body.items.map((item: { id: string }) => item.id)
    expect([(await list('ola'))[0], (await list('axe'))[0], await list('vic')]).toEqual([id, id, []])
  })

  test('by a repeated request once', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const sent = body({ name: 'Once' })
    const [first, second] = [await world.post('mia', '/v1/recertifications', sent, headers), await world.post('mia', '/v1/recertifications', sent, headers)]
    expect([first.status, second.status, second.body.id]).toEqual([201, 201, first.body.id])
  })
})

describe('it is refused', () => {
  const refused = async (more: object, sub = 'mia') => {
    const { status, body: problem } = await world.post(sub, '/v1/recertifications', body(more))
    return [status, problem.code, problem.detail, problem.errors?.[0]?.path]
  }

  test('where no reviewer can decide, or nobody about somebody whom silence would put out', async () => {
    const empty = { type: 'group', id: await world.newGroup() }
    expect(await refused({ reviewers: [empty] })).toEqual([422, 'quorum-unreachable', 'None of the reviewers can decide', undefined])
    const [status, code, detail] = await refused({ reviewers: [user('ola')], onSilence: 'remove' })
    expect([status, code]).toEqual([422, 'quorum-unreachable'])
    expect(detail).toMatch(/^1 of the items/)
    expect((await world.post('mia', '/v1/recertifications', body({ reviewers: [user('ola')] }))).status).toBe(201)
  })

  test('for a time that is too near or too far, for vaults of others, and for reviewers who are not there', async () => {
    for (const dueAt of [inHours(0.9), inHours(91 * 24), inHours(-1)])
      expect(await refused({ dueAt })).toEqual([422, 'validation-failed', expect.anything(), 'dueAt'])
    const other = (await world.post('mia', '/v1/organizations', { name: randomUUID() })).body.id
    const elsewhere = (await world.post('mia', '/v1/identity-groups', { organizationId: other, name: 'elsewhere' })).body.id
    for (const vaultIds of [[elsewhere], [randomUUID()]]) expect((await refused({ vaultIds })).slice(0, 2)).toEqual([404, 'not-found'])
    expect((await refused({ reviewers: [{ type: 'user', id: randomUUID() }] })).slice(0, 2)).toEqual([404, 'not-found'])
  })

  test('for more access than can be written down at once', async () => {
    const vaultId = await world.newVault()
    await world.database.superuser(
      `with made as (insert into idp_user (account_id, email) select $1, 'many-' || i || '@acme.example' from generate_series(1, 1000) i returning id)
      insert into vault_grant (account_id, vault_id, idp_user_id, level, created_by) select $1, $2, id, 'view_vault', $3 from made`,
      [acme.id, vaultId, userOf('mia')],
    )
    expect(await refused({ vaultIds: [vaultId] })).toEqual([422, 'validation-failed', expect.anything(), 'vaultIds'])
    await world.database.superuser(`update vault_grant set valid_to = now() where vault_id = $1`, [vaultId])
  })

  test('to who does not manage the organization', async () => {
    for (const sub of ['sam', 'vic', 'axe']) expect((await refused({}, sub))[0]).toBe(403)
  })
})

describe('what can be taken away in it', () => {
  test('is what whoever starts it could take away: roles of owners are items for owners alone', async () => {
    const id = await world.start({}, 'ola')
    expect((await world.items(id)).filter(({ kind }) => kind === 'role').map(({ what }) => what)).toEqual(['Admin', 'Auditor', 'Operator', 'Viewer'])
  })

  test('are no roles for the whole account, for who manages one organization', async () => {
    const { sub, name } = await world.newLead()
    const id = await world.start({}, sub)
    expect((await world.items(id)).filter(({ kind }) => kind === 'role').map(({ what }) => what)).toEqual([name])
  })

  test('are no roles of owners by who is none, also where they are items', async () => {
    const id = await world.start()
    const { status, body: problem } = await world.decide('ola', id, (await world.itemOf(id, 'role', 'Mia')).id, 'remove')
    expect([status, problem.missing]).toEqual([403, 'to be an owner of the account'])
    expect((await world.itemOf(id, 'role', 'Mia')).decision).toBe('open')
  })
})

describe('a reviewer', () => {
  test('removes a grant: at once, on record with the comment, and leases end with it', async () => {
    const vaultId = await world.newVault()
    await world.grant(vaultId, 'sam')
    const identityId = await world.addIdentity(randomUUID(), { identityGroupId: vaultId, hostIds: [world.hostId], rotateAfterAccessLoss: true })
    const lease = (await world.post('sam', `/v1/identities/${identityId}/checkout`, { reason: 'x', durationMinutes: 30 })).body.lease.id
    const id = await world.start({ vaultIds: [vaultId] })
    const { id: itemId } = await world.itemOf(id, 'grant', 'Sam')
    const decided = await world.decide('ola', id, itemId, 'remove')
    expect([decided.status, decided.body]).toMatchObject([
      200,
      { decision: 'remove', decider: 'reviewer', decidedBy: { id: userOf('ola') }, comment, mayDecide: false },
    ])
    expect((await world.call('mia', 'GET', `/v1/leases/${lease}`)).body).toMatchObject({ state: 'ended', endCause: 'grant_ended' })
    // What was seen owes its rotation, as by the route of grants.
    expect((await world.call('mia', 'GET', `/v1/rotations?identityId=${identityId}`)).body.items).toMatchObject([{ trigger: 'access_loss' }])
    expect((await world.call('mia', 'GET', `/v1/identity-groups/${vaultId}/grants`)).body.items).toEqual([])
    expect((await eventsOf('recertification.decided'))[0]).toMatchObject({
      vaultId,
      outcome: 'remove',
      reason: comment,
      actor: { sub: 'ola' },
      detail: { itemId },
    })
    expect((await eventsOf('grant.revoked'))[0]).toMatchObject({ vaultId, actor: { sub: 'ola' } })
    const again = await world.decide('mia', id, itemId, 'keep')
    expect([again.status, again.body]).toMatchObject([409, { code: 'recertification-item-decided', state: 'remove', holder: 'Ola Admin' }])
  })

  test('removes a role, from the next request on', async () => {
    const { id: sub } = { id: `temp-${randomUUID()}` }
    const { id: temp } = (await world.post('mia', '/v1/users', { sub })).body
    await world.post('mia', `/v1/roles/${roleOf('vic')}/assignments`, { principal: { type: 'user', id: temp } })
    expect((await world.call(sub, 'GET', '/v1/identity-groups')).status).toBe(200)
    const id = await world.start()
    expect((await world.decide('ola', id, (await world.itemOf(id, 'role', 'temp-')).id, 'remove')).body.decision).toBe('remove')
    expect((await world.call(sub, 'GET', '/v1/identity-groups')).status).toBe(403)
  })

  test('keeps something, and may change their mind once', async () => {
    const id = await world.start({ vaultIds: [await world.grantedVault('sam')] })
    const { id: itemId } = await world.itemOf(id, 'grant', 'Sam')
    expect((await world.decide('ola', id, itemId, 'keep')).body).toMatchObject({ decision: 'keep', mayDecide: true })
    expect((await world.decide('mia', id, itemId, 'keep')).body.code).toBe('recertification-item-decided')
    expect((await world.decide('mia', id, itemId, 'remove')).body).toMatchObject({ decision: 'remove', decidedBy: { id: userOf('mia') } })
  })

  test('decides nothing about access of their own, by themselves or by a group that they are in or have just left', async () => {
    const vaultId = await world.grantedVault('ola')
    const group = await world.newGroup('ola')
    await world.grant(vaultId, '', { principal: { type: 'group', id: group } })
    const id = await world.start({ vaultIds: [vaultId] })
    const own = (await world.items(id, '', 'ola')).filter((item) => !item.mayDecide)
    expect(own.map(({ principal }) => principal.name.slice(0, 5)).sort()).toEqual(['Group', 'Ola A', 'Ola A'])
    expect((await world.call('mia', 'DELETE', `/v1/idp-groups/${group}/members/${idpOf('ola')}`)).status).toBe(204)
    for (const item of own) {
      for (const decision of ['keep', 'remove'] as const) {
        const { status, body: problem } = await world.decide('ola', id, item.id, decision)
        expect([status, problem.missing]).toEqual([403, 'another person: nobody decides about access of their own'])
      }
    }
    for (const item of own.filter(({ kind }) => kind === 'grant')) expect((await world.decide('mia', id, item.id, 'keep')).status).toBe(200)
  })

  test('is who is one now: whoever lost the membership decides no more, and whoever came decides', async () => {
    const group = await world.newGroup('vic')
    const id = await world.start({ reviewers: [{ type: 'group', id: group }], vaultIds: [await world.grantedVault('sam')] })
    const { id: itemId } = await world.itemOf(id, 'grant', 'Sam')
    expect((await world.decide('sam', id, itemId, 'keep')).status).toBe(404)
    expect((await world.decide('mia', id, itemId, 'keep')).body.missing).toBe('to be a reviewer of this recertification')
    await world.call('mia', 'DELETE', `/v1/idp-groups/${group}/members/${idpOf('vic')}`)
    expect((await world.decide('vic', id, itemId, 'keep')).status).toBe(404)
    await world.call('mia', 'PUT', `/v1/idp-groups/${group}/members/${idpOf('ola')}`)
    expect((await world.decide('ola', id, itemId, 'keep')).status).toBe(200)
  })

  test('finds what has ended otherwise, and has decided nothing then', async () => {
    const vaultId = await world.newVault()
    const grantId = await world.grant(vaultId, 'sam')
    const id = await world.start({ vaultIds: [vaultId] })
    const { id: itemId } = await world.itemOf(id, 'grant', 'Sam')
    expect((await world.call('mia', 'DELETE', `/v1/identity-groups/${vaultId}/grants/${grantId}`)).status).toBe(204)
    const { status, body: item } = await world.decide('ola', id, itemId, 'keep')
    expect([status, item]).toMatchObject([200, { decision: 'gone', decider: null, decidedBy: null, comment: null }])
    // Given again, it is another grant and no item.
    await world.grant(vaultId, 'sam')
    expect((await world.decide('ola', id, itemId, 'remove')).status).toBe(409)
    expect((await world.call('mia', 'GET', `/v1/identity-groups/${vaultId}/grants`)).body.items).toHaveLength(1)
  })

  test('removes nothing that was kept and has ended since: what was decided stands', async () => {
    const vaultId = await world.newVault()
    const grantId = await world.grant(vaultId, 'sam')
    const id = await world.start({ vaultIds: [vaultId] })
    const { id: itemId } = await world.itemOf(id, 'grant', 'Sam')
    await world.decide('ola', id, itemId, 'keep')
    await world.call('mia', 'DELETE', `/v1/identity-groups/${vaultId}/grants/${grantId}`)
    expect((await world.decide('mia', id, itemId, 'remove')).body).toMatchObject({ code: 'recertification-item-decided', state: 'keep', holder: 'Ola Admin' })
    expect(await world.itemOf(id, 'grant', 'Sam')).toMatchObject({ decision: 'keep', decidedBy: { name: 'Ola Admin' }, comment })
  })

  test('of another recertification or account finds no such item', async () => {
    const [one, other] = [await world.start(), await world.start()]
    const { id: itemId } = await world.itemOf(other, 'grant', 'Sam')
    expect((await world.decide('ola', one, itemId, 'keep')).status).toBe(404)
    for (const path of ['', '/items', '/evidence']) expect((await world.call('gus', 'GET', `/v1/recertifications/${one}${path}`)).status).toBe(404)
    expect((await world.decide('gus', one, (await world.itemOf(one, 'grant', 'Sam')).id, 'remove')).status).toBe(404)
  })
})
