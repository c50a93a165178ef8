import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createRecertificationWorld, type RecertificationWorld } from './recertification-world.ts'

let world: RecertificationWorld
beforeAll(async () => {
  world = await createRecertificationWorld()
})
afterAll(() => world?.end())

/** Something that somebody did. */
const did = (userId: string, event: { on: string; action?: string; organizationId?: string; vaultId?: string }) =>
  world.database.superuser(
    `insert into audit_event (account_id, at, actor_kind, actor_id, action, effect, outcome, organization_id, vault_id)
    values ($1, $2, 'user', $3, $4, 'permit', 'success', $5, $6)`,
    [acme.id, event.on, userId, event.action ?? 'host.read', event.organizationId ?? null, event.vaultId ?? null],
  )
const newUser = async () => (await world.post('mia', '/v1/users', { sub: `temp-${randomUUID()}` })).body.id
const newRole = async () => (await world.post('mia', '/v1/roles', { name: `Role ${randomUUID()}`, permissions: ['pam_vaults.view'] })).body.id
const give = async (roleId: string, id: string, organizationId: string | null = null) =>
  (await world.post('mia', `/v1/roles/${roleId}/assignments`, { principal: { type: 'user', id }, organizationId })).body.id
const [first, second, third] = ['2026-01-01T00:00:00.000Z', '2026-02-01T00:00:00.000Z', '2026-03-01T00:00:00.000Z'] as const

test('of a role is the last thing that its holder did anywhere, and in the organization where it holds in one', async () => {
  const [person, idle] = [await newUser(), await newUser()]
  const vaultId = await world.newVault()
  await did(person, { on: first, organizationId: world.organizationId, vaultId })
  await did(person, { on: second, organizationId: world.organizationId })
  await did(person, { on: third, organizationId: randomUUID(), vaultId: randomUUID() })
  const given = {
    [await give(await newRole(), person)]: third,
    [await give(await newRole(), person, world.organizationId)]: second,
    [await give(await newRole(), idle)]: null,
  }
  await did(person, { on: '2026-01-15T00:00:00Z' })
  const items = await world.items(await world.start())
  expect(Object.fromEntries(items.filter(({ assignmentId }) => (assignmentId ?? '') in given).map((item) => [item.assignmentId, item.lastUsedAt]))).toEqual(
    given,
  )
})

test('is found in time however many share what is looked at', async () => {
  const group = await world.newGroup()
  const vaultId = await world.newVault()
  const grantId = await world.grant(vaultId, '', { principal: { type: 'group', id: group } })
  await world.database.superuser(
    `with people as (insert into account_user (account_id, iss, sub) select $1, 'https://many.example', 'many-' || i from generate_series(1, 3000) i returning id, sub),
      known as (insert into idp_user (account_id, email, user_id) select $1, sub || '@many.example', id from people returning id),
      members as (insert into idp_group_member (account_id, group_id, idp_user_id) select $1, $2, id from known),
      vaults as (insert into vault (account_id, organization_id, name, salt) select $1, $3, 'many-' || i, decode(repeat('00', 32), 'hex') from generate_series(1, 150) i returning id)
    insert into vault_grant (account_id, vault_id, idp_group_id, level, created_by) select $1, v.id, $2, g.level, g.created_by from vaults v, vault_grant g where g.id = $4`,
    [acme.id, group, world.organizationId, grantId],
  )
  const { rows } = await world.database.superuser(`select id from account_user where sub = 'many-2500'`)
  await did(rows[0].id, { on: first, action: 'lease.granted', vaultId })
  await did(rows[0].id, { on: third, action: 'identity.checked', vaultId })
  const grants = (await world.items(await world.start())).filter(({ kind }) => kind === 'grant')
  expect(grants.filter(({ lastUsedAt }) => lastUsedAt !== null)).toMatchObject([{ identityGroupId: vaultId, lastUsedAt: first }])
  expect(grants.length).toBeGreaterThan(150)
}, 60_000)
