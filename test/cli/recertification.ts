import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Recertification, RecertificationItem } from '#schemas/recertification.ts'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import { acme } from '#stack/people.ts'
import type { Stack } from '#stack/test-stack.ts'
import { leasehold as run } from './leasehold.ts'

/** What the commands about recertifications promise on a running stack, and how one ends there. */
export function recertificationCommands(running: () => Stack): void {
  let stack: Stack
  let superuser: pg.Client
  let mia: ApiClient
  let organizationId: string
  let vaultId: string
  const idpOf = (sub: string) => acme.users.find((user) => user.sub === sub)?.idpId
  const clientOf = async (user: string) => apiClient(stack.urls.api, await accessToken({ home: stack.home, user, acr: 'mfa' }))
  const grantToVic = async () =>
    expectStatus(await mia.post(`/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'user', id: idpOf('vic') }, level: 'checkout' }), 201)
  const start = async (onSilence: 'keep' | 'remove') => {
    const made = await mia.post<{ id: string }>('/v1/recertifications', {
      name: 'Fourth quarter',
      organizationId,
      vaultIds: [vaultId],
      reviewers: ['mia', 'ola'].map((sub) => ({ type: 'user', id: idpOf(sub) })),
      dueAt: new Date(Date.now() + 7_200_000).toISOString(),
      onSilence,
      reason: 'Quarterly review',
    })
    return expectStatus(made, 201).id
  }
  beforeAll(async () => {
    stack = running()
    superuser = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
    await superuser.connect()
    mia = await clientOf('mia')
    const { items } = expectStatus(await mia.get<{ items: { organizationId: string }[] }>('/v1/identity-groups'), 200)
    organizationId = items[0]?.organizationId ?? expect.unreachable()
    vaultId = expectStatus(await mia.post<{ id: string }>('/v1/identity-groups', { organizationId, name: 'to be \u202e looked at' }), 201).id
  }, 60_000)
  afterAll(() => superuser?.end())

  const command = (user: string, ...args: string[]) =>
    run({ LEASEHOLD_HOME: stack.home, LEASEHOLD_CONFIG_HOME: path.join(stack.home, 'nobody') }, ...args, '--as', user)

  test('list and show what a reviewer is asked, and remove a grant of somebody', async () => {
    await grantToVic()
    const id = await start('keep')
    const listed = await command('ola', 'recertification', '--state', 'open')
    expect(listed).toMatchObject({ code: 0, out: expect.stringMatching(new RegExp(`^${id} {2}open {7}Fourth quarter {2}open (\\d+)/\\1 `)) })
    const shown = await command('ola', 'recertification', 'show', id, '--decision', 'open')
    expect(shown).toMatchObject({ code: 0, out: expect.stringContaining('user Vic Viewer  checkout on to be   looked at  never used') })
    const itemId = /(\S+) {2}open {5}user Vic Viewer {2}checkout/.exec(shown.out)?.[1] ?? expect.unreachable()
    const removed = await command('ola', 'recertification', 'decide', id, itemId, 'remove', '--comment', 'Is in another team by now')
    expect(removed).toMatchObject({ code: 0, out: expect.stringContaining('by Ola Admin: Is in another team by now') })
    const again = await command('ola', 'recertification', 'decide', id, itemId, 'keep', '--comment', 'It was a mistake')
    expect(again).toMatchObject({ code: 1, out: '', err: expect.stringContaining('409 This has been decided') })
  }, 60_000)

  test('say what is missing, and list nothing to who reviews nothing', async () => {
    expect(await command('ola', 'recertification', 'decide', organizationId, vaultId, 'remove')).toMatchObject({
      code: 1,
      err: expect.stringContaining('--comment'),
    })
    expect(await command('vic', 'recertification')).toMatchObject({ code: 0, out: '' })
  }, 60_000)

  test('when the time is over the workflow does what silence does, and leases end within 5 s', async () => {
    await grantToVic()
    const identity = { identityGroupId: vaultId, name: 'held', username: 'held', credentialType: 'password', credential: 'x' }
    const { id: identityId } = expectStatus(await mia.post<{ id: string }>('/v1/identities', identity), 201)
    const asked = { reason: 'until it is taken away', durationMinutes: 30 }
    const { lease } = expectStatus(await (await clientOf('vic')).post<{ lease: { id: string } }>(`/v1/identities/${identityId}/checkout`, asked), 201)
    const id = await start('remove')
    const { items } = expectStatus(await mia.get<{ items: RecertificationItem[] }>(`/v1/recertifications/${id}/items?limit=200`), 200)
    // Whom the other tests need is kept by hand.
    const ola = await clientOf('ola')
    for (const item of items.filter(({ kind }) => kind === 'role')) {
      const decision = { decision: 'keep', comment: 'Is needed as before' }
      expectStatus(await (item.mayDecide ? mia : ola).post(`/v1/recertifications/${id}/items/${item.id}/decide`, decision), 200)
    }
    await superuser.query('update recertification set due_at = clock_timestamp() + $2 where id = $1', [id, '1 s'])
    expect((await command('ola', 'duties', 'reconcile')).code).toBe(0)
    const read = async () => expectStatus(await mia.get<Recertification>(`/v1/recertifications/${id}`), 200)
    await expect.poll(async () => (await read()).state, { timeout: 20_000, interval: 100 }).toBe('ended')
    expect((await read()).counts).toEqual({ open: 0, keep: items.length - 1, remove: 1, refused: 0, gone: 0 })
    const isEnded = async () => expectStatus(await mia.get<{ state: string; endCause: string }>(`/v1/leases/${lease.id}`), 200)
    await expect.poll(isEnded, { timeout: 5_000, interval: 100 }).toMatchObject({ state: 'ended', endCause: 'grant_ended' })
  }, 60_000)
}
