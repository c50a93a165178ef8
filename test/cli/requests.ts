import path from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { AccessRequest } from '#schemas/access-request.ts'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import type { Stack } from '#stack/test-stack.ts'
import { leasehold as run } from './leasehold.ts'

/** What the commands about access requests promise on a running stack. */
export function requestCommands(running: () => Stack): void {
  let stack: Stack
  let sam: ApiClient
  let identityId: string
  beforeAll(async () => {
    stack = running()
    const clientOf = async (user: string) => apiClient(stack.urls.api, await accessToken({ home: stack.home, user, acr: 'mfa' }))
    const mia = await clientOf('mia')
    sam = await clientOf('sam')
    const { items } = expectStatus(await mia.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
    identityId = items.find(({ name }) => name === 'shared-ro')?.id ?? expect.unreachable()
    expectStatus(await mia.post('/v1/approval-policies', { identityId, steps: [{ approvers: [{ type: 'permission' }] }] }), 201)
  }, 60_000)

  const requests = (user: string, ...args: string[]) =>
    run({ LEASEHOLD_HOME: stack.home, LEASEHOLD_CONFIG_HOME: path.join(stack.home, 'nobody') }, ...args, '--as', user)
  const checkout = <T>(body: object = {}) => sam.post<T>(`/v1/identities/${identityId}/checkout`, { reason: 'by\u202e command', durationMinutes: 5, ...body })
  const ask = async () => expectStatus(await checkout<{ accessRequest: AccessRequest }>(), 202).accessRequest.id

  test('show what waits for a decision, approve what was seen, and the requester checks out', async () => {
    const id = await ask()
    expect(await requests('ola', 'requests', '--show', 'decidable')).toMatchObject({ code: 0, out: expect.stringContaining(`${id}  pending    Sam Operator`) })
    const approved = await requests('ola', 'approve', id, '--comment', 'go on')
    expect(approved).toMatchObject({ code: 0, out: expect.stringContaining('approvals 1/1'), err: expect.stringContaining('reason: by  command') })
    expect(await requests('sam', 'requests', 'show', id)).toMatchObject({ code: 0, out: expect.stringContaining('approve by Ola Admin in step 1: go on') })
    const { lease } = expectStatus(await checkout<{ lease: { id: string } }>({ requestId: id }), 201)
    expectStatus(await sam.post(`/v1/leases/${lease.id}/checkin`, {}), 200)
    const listed = await requests('sam', 'requests', 'list', '--show', 'own', '--state', 'used', '-o', 'json')
    expect(JSON.parse(listed.out).items).toMatchObject([{ id, leaseId: lease.id }])
  }, 60_000)

  test('deny and cancel end it, and nobody approves their own', async () => {
    const denied = await ask()
    expect(await requests('sam', 'approve', denied)).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/403 You are not allowed/) })
    expect(await requests('ola', 'deny', denied)).toMatchObject({ code: 0, out: expect.stringContaining('denied') })
    expect(await requests('ola', 'approve', denied)).toMatchObject({ code: 1, err: expect.stringContaining('409 This access request is over') })
    const cancelled = await ask()
    expect(await requests('sam', 'requests', 'cancel', cancelled)).toMatchObject({ code: 0, out: expect.stringContaining('cancelled') })
  }, 60_000)
}
