import { expect } from 'vitest'
import { acme } from '#stack/people.ts'
import type { Answer } from './support.ts'
import type { ApiWorld } from './world.ts'

export const idpOf = (sub: string): string => acme.users.find((user) => user.sub === sub)?.idpId ?? ''
export const roleOf = (sub: string): string => acme.users.find((user) => user.sub === sub)?.role.id ?? ''

export interface PeopleCalls {
  /** Creates something and gives its id. */
  made(by: string, path: string, body: unknown): Promise<string>
  /** A request with a token of somebody as the issuer describes them. */
  as(sub: string, claims: Record<string, unknown>, method?: string, path?: string, body?: unknown): Promise<Answer>
}

export const peopleCalls = (world: () => ApiWorld): PeopleCalls => ({
  async made(by, path, body) {
    const answer = await world().post(by, path, body)
    expect([answer.status, answer.body?.detail]).toEqual([201, undefined])
    return answer.body.id
  },
  async as(sub, claims, method = 'GET', path = '/v1/me', body) {
    const authorization = `Bearer ${await world().issuer.token(sub, claims)}`
    return world().call(null, method, path, { headers: { authorization }, ...(body === undefined ? {} : { body }) })
  },
})
