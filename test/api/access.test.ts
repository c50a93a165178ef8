import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const idpOf = (sub: string): string => acme.users.find((user) => user.sub === sub)?.idpId ?? ''
const access = () => `/v1/identity-groups/${world.vaultId}/access`

describe('who can do what here', () => {
  test('is answered with the way it comes: owner, role, grant, group, until when', async () => {
    const group = (await world.post('ola', '/v1/idp-groups', { name: 'Night shift' })).body.id
    await world.call('ola', 'PUT', `/v1/idp-groups/${group}/members/${idpOf('vic')}`)
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    await world.post('ola', `/v1/identity-groups/${world.vaultId}/grants`, { principal: { type: 'group', id: group }, level: 'view_credentials', expiresAt })
    const { items } = (await world.call('axe', 'GET', access())).body
    const of = (name: string) => items.find((item: { user: { name: string } }) => item.user.name === name)
    expect(of('Mia Owner')).toMatchObject({ actions: expect.arrayContaining(['identity.checkout', 'vault.delete']), through: [{ type: 'role', owner: true }] })
    expect(of('Sam Operator')).toMatchObject({
      actions: expect.arrayContaining(['identity.checkout', 'identity.reveal']),
      through: [{ type: 'role' }, { type: 'grant', level: 'checkout', group: null }],
    })
    expect(of('Vic Viewer').actions).toEqual(expect.arrayContaining(['identity.reveal']))
    expect(of('Vic Viewer').actions).not.toContain('identity.checkout')
    expect(of('Vic Viewer').through).toMatchObject([
      { type: 'role', permissions: ['pam_vaults.view'] },
      { type: 'grant', group: { name: 'Night shift' }, endsAt: expiresAt },
    ])
    expect(of('Axe Auditor').actions).not.toContain('identity.reveal')
    expect(items.some((item: { user: { name: string } }) => item.user.name.startsWith('Gus'))).toBe(false)
  })

  test('comes in pages and to those only who may see grants', async () => {
    const first = (await world.call('mia', 'GET', `${access()}?limit=2`)).body
    expect(first.items).toHaveLength(2)
    const second = (await world.call('mia', 'GET', `${access()}?limit=200&cursor=${first.nextCursor}`)).body
    expect(second.items).toHaveLength(3)
    expect([(await world.call('sam', 'GET', access())).status, (await world.call('gus', 'GET', access())).status]).toEqual([403, 404])
  })

  test('is answered to everybody about themselves', async () => {
    const own = async (sub: string) => (await world.call(sub, 'GET', '/v1/me/access')).body.items
    expect(await own('sam')).toMatchObject([
      { identityGroup: { name: 'demo' }, actions: expect.arrayContaining(['identity.checkout']), through: [{ type: 'role' }, { type: 'grant' }] },
    ])
    expect(await own('gus')).toEqual([])
  })
})

describe('a denial', () => {
  test('says what is missing and who could give it', async () => {
    const identity = await world.addIdentity(`asked for ${randomUUID()}`)
    const checkout = await world.post('axe', `/v1/identities/${identity}/checkout`, { reason: 'x', durationMinutes: 5 })
    expect(checkout.body).toMatchObject({ status: 403, missing: 'vault access: checkout', ask: ['Ola Admin', 'Mia Owner'] })
    const create = await world.post('vic', '/v1/identity-groups', { organizationId: world.organizationId, name: 'mine' })
    expect(create.body).toMatchObject({ status: 403, missing: 'pam_vaults.manage', ask: ['Ola Admin', 'Mia Owner'] })
  })

  test('of what one may not see says nothing', async () => {
    const { body, status } = await world.call('gus', 'DELETE', `/v1/identity-groups/${world.vaultId}`)
    expect([status, body.ask, body.missing]).toEqual([404, undefined, undefined])
  })
})
