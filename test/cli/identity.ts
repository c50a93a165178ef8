import path from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { apiClient, expectStatus } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import type { Stack } from '#stack/test-stack.ts'
import { leasehold as run } from './leasehold.ts'

/** What the commands about identities promise on a running stack. */
export function identityCommands(running: () => Stack): void {
  let stack: Stack
  let id: string
  beforeAll(async () => {
    stack = running()
    const ola = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'ola', acr: 'mfa' }))
    const { items } = expectStatus(await ola.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
    id = items.find(({ name }) => name === 'orders-db')?.id ?? expect.unreachable()
  }, 60_000)

  const identity = (...args: string[]) => run({ LEASEHOLD_HOME: stack.home, LEASEHOLD_CONFIG_HOME: path.join(stack.home, 'nobody') }, 'identity', ...args)

  test('check waits for every host and says what came out, and who may not check is told why', async () => {
    expect(await identity('check', id, '--as', 'ola')).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^host \S+ {2}in_sync\n$/) })
    const json = await identity('check', id, '--as', 'ola', '-o', 'json')
    expect([json.code, JSON.parse(json.out)]).toMatchObject([0, { identityId: id, state: 'done', hosts: [{ outcome: 'in_sync', reason: null }] }])
    expect(await identity('check', id, '--as', 'vic')).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^403 You are not allowed/) })
  }, 60_000)
}
