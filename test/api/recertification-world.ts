import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import { AccountId, RecertificationId } from '#schemas/ids.ts'
import type { RecertificationItem } from '#schemas/recertification.ts'
import { acme } from '#stack/people.ts'
import { runnerOf, type RunInAccount } from '#store/connection.ts'
import { settleRecertification } from '#store/settle-recertification.ts'
import { idpOf } from './people-calls.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

/** The API with people who have access, and what a test of recertifications does again and again. */
export interface RecertificationWorld extends ApiWorld {
  /** @returns its id; ended by `due` or by its own time */
  start(body?: object, sub?: string): Promise<string>
  items(id: string, query?: string, sub?: string): Promise<RecertificationItem[]>
  /** The item about the grant of somebody on a vault, or about a role of theirs. */
  itemOf(id: string, kind: 'grant' | 'role', holder: string): Promise<RecertificationItem>
  decide(sub: string, id: string, itemId: string, decision: 'keep' | 'remove', comment?: string): ReturnType<ApiWorld['call']>
  newVault(): Promise<string>
  /** @returns id of the grant */
  grant(vaultId: string, sub: string, more?: object): Promise<string>
  /** A vault that somebody was given. */
  grantedVault(sub: string): Promise<string>
  newGroup(...subs: string[]): Promise<string>
  /** Somebody who manages this one organization, by a role of that name. */
  newLead(): Promise<{ readonly sub: string; readonly name: string; readonly roleId: string; readonly assignmentId: string }>
  /** Its time is over, `ms` from now. */
  due(id: string, ms?: number): Promise<void>
  /** One batch, as its workflow lets it be settled. */
  settle(id: string, limit?: number): Promise<void>
  readonly worker: RunInAccount
}

export const comment = 'Looked at it together with the team'

export const inHours = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString()

export async function createRecertificationWorld(): Promise<RecertificationWorld> {
  const world = await createApiWorld()
  const worker = runnerOf(world.database.as('leasehold_worker'), AccountId.parse(acme.id))
  const made = async (path: string, body: object, sub = 'mia'): Promise<string> => {
    const answer = await world.post(sub, path, body)
    expect([answer.status, answer.text]).toEqual([201, expect.anything()])
    return answer.body.id
  }
  const items = async (id: string, query = '', sub = 'mia'): Promise<RecertificationItem[]> =>
    (await world.call(sub, 'GET', `/v1/recertifications/${id}/items?limit=200${query}`)).body.items
  const newVault = () => made('/v1/identity-groups', { organizationId: world.organizationId, name: randomUUID() })
  const grant = (vaultId: string, sub: string, more: object = {}) =>
    made(`/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'user', id: idpOf(sub) }, level: 'checkout', ...more })
  return {
    ...world,
    worker,
    items,
    start: (body = {}, sub = 'mia') =>
      made(
        '/v1/recertifications',
        {
          name: `Review ${randomUUID()}`,
          organizationId: world.organizationId,
          reviewers: ['mia', 'ola'].map((reviewer) => ({ type: 'user', id: idpOf(reviewer) })),
          dueAt: inHours(48),
          onSilence: 'keep',
          reason: 'Quarterly review',
          ...body,
        },
        sub,
      ),
    itemOf: async (id, kind, holder) =>
      (await items(id)).find((item) => item.kind === kind && item.principal.name.startsWith(holder)) ?? expect.unreachable(`no ${kind} of ${holder}`),
    decide: async (sub, id, itemId, decision, why = comment) => {
      // On a busy machine a lock may be waited for in vain: who asks again is answered.
      for (;;) {
        const answer = await world.post(sub, `/v1/recertifications/${id}/items/${itemId}/decide`, { decision, comment: why })
        if (answer.status !== 503) return answer
      }
    },
    newVault,
    grant,
    grantedVault: async (sub) => {
      const vaultId = await newVault()
      await grant(vaultId, sub)
      return vaultId
    },
    newGroup: async (...subs) => {
      const id = await made('/v1/idp-groups', { name: `Group ${randomUUID()}` })
      for (const sub of subs) expect((await world.call('mia', 'PUT', `/v1/idp-groups/${id}/members/${idpOf(sub)}`)).status).toBe(204)
      return id
    },
    newLead: async () => {
      const [sub, name] = [`lead-${randomUUID()}`, `Lead ${randomUUID()}`]
      const lead = await made('/v1/users', { sub })
      const roleId = await made('/v1/roles', { name, permissions: ['organizations.manage'] })
      const body = { principal: { type: 'user', id: lead }, organizationId: world.organizationId }
      return { sub, name, roleId, assignmentId: await made(`/v1/roles/${roleId}/assignments`, body) }
    },
    due: async (id, ms = 0) => {
      await world.database.superuser(
        `update recertification set opened_at = clock_timestamp() - interval '2 days', due_at = clock_timestamp() + make_interval(secs => $2::float8 / 1000) where id = $1`,
        [id, ms],
      )
    },
    settle: (id, limit = 50) => settleRecertification(worker, RecertificationId.parse(id), { kind: 'workflow', id: `recertification:${acme.id}:${id}` }, limit),
  }
}
