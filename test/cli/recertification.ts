import path from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import { acme } from '#stack/people.ts'
import type { Stack } from '#stack/test-stack.ts'
import { leasehold as run } from './leasehold.ts'

/** What the commands about recertifications promise on a running stack. */
export function recertificationCommands(running: () => Stack): void {
  let stack: Stack
  let mia: ApiClient
  let id: string
  const idpOf = (sub: string) => acme.users.find((user) => user.sub === sub)?.idpId
  beforeAll(async () => {
    stack = running()
    mia = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'mia', acr: 'mfa' }))
    const [organization] = expectStatus(await mia.get<{ items: { id: string }[] }>('/v1/organizations'), 200).items
    const vault = expectStatus(await mia.post<{ id: string }>('/v1/identity-groups', { organizationId: organization?.id, name: 'to be \u202e looked at' }), 201)
    expectStatus(await mia.post(`/v1/identity-groups/${vault.id}/grants`, { principal: { type: 'user', id: idpOf('vic') }, level: 'checkout' }), 201)
    const made = await mia.post<{ id: string }>('/v1/recertifications', {
      name: 'Fourth quarter',
      organizationId: organization?.id,
      vaultIds: [vault.id],
      reviewers: [{ type: 'user', id: idpOf('ola') }],
      dueAt: new Date(Date.now() + 7_200_000).toISOString(),
      onSilence: 'keep',
      reason: 'Quarterly review',
    })
    id = expectStatus(made, 201).id
  }, 60_000)

  const command = (user: string, ...args: string[]) =>
    run({ LEASEHOLD_HOME: stack.home, LEASEHOLD_CONFIG_HOME: path.join(stack.home, 'nobody') }, 'recertification', ...args, '--as', user)

  test('list and show what a reviewer is asked, and remove a grant of somebody', async () => {
    expect(await command('ola', '--state', 'open')).toMatchObject({ code: 0, out: expect.stringContaining(`${id}  open       Fourth quarter  open 6/6`) })
    const shown = await command('ola', 'show', id, '--decision', 'open')
    expect(shown).toMatchObject({ code: 0, out: expect.stringContaining('user Vic Viewer  checkout on to be   looked at  never used') })
    const itemId = /(\S+) {2}open {5}user Vic Viewer {2}checkout/.exec(shown.out)?.[1] ?? expect.unreachable()
    const removed = await command('ola', 'decide', id, itemId, 'remove', '--comment', 'Is in another team by now')
    expect(removed).toMatchObject({ code: 0, out: expect.stringContaining('by Ola Admin: Is in another team by now') })
    expect(await command('ola', 'decide', id, itemId, 'keep', '--comment', 'It was a mistake')).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('409 This has been decided'),
    })
  }, 60_000)

  test('say what is missing, and that somebody else has none', async () => {
    expect(await command('ola', 'decide', id, id, 'remove')).toMatchObject({ code: 1, err: expect.stringContaining('--comment') })
    expect(await command('vic')).toMatchObject({ code: 0, out: '' })
  }, 60_000)
}
