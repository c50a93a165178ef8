import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { UserId, type AccountId } from '#schemas/ids.ts'
import { acme } from '#stack/people.ts'
import { holdBreakGlassCredential, revokeBreakGlassCredentials } from '#store/break-glass-credential.ts'
import { inAccount } from '#store/connection.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const mine = '/v1/me/break-glass-credential'
const idOf = (sub: string) => acme.users.find((user) => user.sub === sub)?.id ?? expect.unreachable()
const enrol = (sub: string, passphrase: string) => world.call(sub, 'PUT', mine, { body: { passphrase } })
const breakGlass = (sub: string, identityId: string, breakGlassCredential: string) =>
  world.post(sub, `/v1/identities/${identityId}/break-glass`, { reason: 'x', justification: 'nobody can be asked', breakGlassCredential })
const forget = async () => {
  await world.database.superuser('delete from break_glass_attempt')
  await world.database.superuser(`update lease set started_at = started_at - interval '2 minutes' where mode = 'break_glass'`)
}
const told = async (sub: string) =>
  (
    await world.database.superuser(
      `select count(*)::int as times from notice n join notice_recipient r on r.notice_id = n.id where n.kind = 'break_glass.credential_changed' and r.user_id = $1`,
      [idOf(sub)],
    )
  ).rows[0].times

describe('a break-glass credential', () => {
  test('is enrolled by its person, who sees whether and since when, and hears of it', async () => {
    expect((await world.call('sam', 'GET', mine)).body).toEqual({ enrolled: false, enrolledAt: null, securityKeys: [] })
    const { status, body } = await enrol('sam', 'the first of my passphrases')
    expect([status, body.enrolled]).toEqual([200, true])
    expect((await world.call('sam', 'GET', mine)).body).toEqual(body)
    expect(await told('sam')).toBe(1)
    const { rows } = await world.database.superuser('select * from break_glass_credential')
    expect(JSON.stringify(rows)).not.toContain('passphrases')
  })

  test('is enrolled within 5 minutes of a strong login only, and by nobody without the permission', async () => {
    const now = Math.floor(Date.now() / 1_000)
    const withToken = async (claims: Record<string, unknown>) => {
      const authorization = `Bearer ${await world.issuer.token('sam', claims)}`
      return world.call(null, 'PUT', mine, { body: { passphrase: 'put there by somebody else' }, headers: { authorization } })
    }
    for (const claims of [{ acr: 'pwd' }, { auth_time: now - 301 }, { auth_time: undefined }]) {
      const { status, body } = await withToken(claims)
      expect([status, body.code]).toEqual([401, 'insufficient-user-authentication'])
    }
    expect((await withToken({ auth_time: now - 290 })).status).toBe(200)
    expect((await enrol('vic', 'of somebody who may not')).status).toBe(403)
  })

  test('takes the place of the one before, which is right no longer', async () => {
    const id = await world.addIdentity('replaced')
    await enrol('sam', 'the first of my passphrases')
    await enrol('sam', 'the second of my passphrases')
    expect((await breakGlass('sam', id, 'the first of my passphrases')).status).toBe(401)
    expect((await breakGlass('sam', id, 'the second of my passphrases')).status).toBe(201)
    const { rows } = await world.database.superuser('select count(*)::int as kept from break_glass_credential where user_id = $1 and tag is not null', [
      idOf('sam'),
    ])
    expect(rows).toEqual([{ kept: 1 }])
  })

  test('is 15 characters at least, of which not all are the same', async () => {
    for (const passphrase of ['fourteen chars', 'a'.repeat(40), 'x'.repeat(201), '']) expect((await enrol('sam', passphrase)).status).toBe(422)
  })

  test('is taken away by an administrator, who can set none; its person enrols another one', async () => {
    await forget()
    const id = await world.addIdentity('revoked')
    await enrol('sam', 'the second of my passphrases')
    const before = await told('sam')
    const path = `/v1/users/${idOf('sam')}/break-glass-credential`
    expect((await world.call('vic', 'DELETE', path)).status).toBe(404)
    expect((await world.call('axe', 'DELETE', path)).status).toBe(403)
    expect((await world.call('ola', 'PUT', path, { body: { passphrase: 'the choice of somebody else' } })).status).toBe(405)
    expect((await world.call('ola', 'DELETE', path)).status).toBe(204)
    expect((await world.call('ola', 'DELETE', path)).status).toBe(404)
    expect(await told('sam')).toBe(before + 1)
    const refused = await breakGlass('sam', id, 'the second of my passphrases')
    expect([refused.status, refused.body.detail]).toEqual([401, 'You have enrolled no break-glass passphrase'])
    await enrol('sam', 'the third of my passphrases')
    expect((await breakGlass('sam', id, 'the third of my passphrases')).status).toBe(201)
  })

  test('is not taken away while a use of it is being decided', async () => {
    await enrol('sam', 'the fourth of my passphrases')
    const accountId = acme.id as AccountId
    const [deciding, revoking] = [world.database.as('leasehold_api', 1), world.database.as('leasehold_api', 1)]
    const { rows } = await world.database.superuser('select id from break_glass_credential where user_id = $1 and ended_at is null', [idOf('sam')])
    await inAccount(deciding, accountId, async (trx) => {
      expect(await holdBreakGlassCredential(trx, rows[0].id)).toBe('passphrase')
      const revoked = inAccount(revoking, accountId, (own) => revokeBreakGlassCredentials(own, UserId.parse(idOf('sam')), { kind: 'system', id: 'test' }))
      await expect(revoked).rejects.toMatchObject({ code: 'busy' })
    })
  })

  test('that was taken away ends no lease; a lost permission does', async () => {
    await forget()
    const id = await world.addIdentity('lost')
    await enrol('ola', 'seven quiet herons of ola')
    const { lease } = (await breakGlass('ola', id, 'seven quiet herons of ola')).body
    await world.call('mia', 'DELETE', `/v1/users/${idOf('ola')}/break-glass-credential`)
    const read = async () => (await world.call('mia', 'GET', `/v1/leases/${lease.id}`)).body
    expect((await read()).state).toBe('active')
    expect((await world.call('mia', 'PATCH', `/v1/users/${idOf('ola')}`, { body: { state: 'disabled' } })).status).toBe(200)
    expect(await read()).toMatchObject({ state: 'ended', endCause: 'revoked' })
  })
})
