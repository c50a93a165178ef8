import pg from 'pg'
import { setTimeout as sleep } from 'node:timers/promises'
import { apiClient, expectStatus, type ApiAnswer, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import type { Stack } from '#stack/test-stack.ts'

export interface Lease {
  readonly id: string
  readonly rotationId: string | null
}
export interface Credential {
  readonly username: string
  readonly value: string
}
export interface Checkout {
  readonly lease: Lease
  readonly credential: Credential
}

/** A running stack as its user `sam` and the target see it. */
export interface Product {
  readonly sam: ApiClient
  readonly clientOf: (user: string) => Promise<ApiClient>
  readonly identityId: (name: string) => string
  readonly place: (name: string, minutes?: number) => Promise<ApiAnswer<Checkout>>
  /** Checks out, once the rotation that the last use owed is through. */
  readonly takeWhenFree: (name: string, minutes?: number) => Promise<Checkout>
  /** Returns when nothing keeps the identity from being checked out. */
  readonly untilFree: (name: string) => Promise<void>
  readonly checkin: (lease: Lease) => Promise<ApiAnswer<{ lease: Lease }>>
  readonly reveal: (name: string) => Promise<Credential>
  /** @returns undefined when the target lets the credential in, else its SQLSTATE */
  readonly refused: (credential: Credential) => Promise<string | undefined>
  readonly untilConfirmed: (rotationId: string, limitMs?: number) => Promise<void>
  /** One statement as superuser of the control database. */
  readonly sql: (text: string, values?: unknown[]) => Promise<pg.QueryResult>
}

export async function useProduct(stack: Stack): Promise<Product> {
  const clientOf = async (user: string) => apiClient(stack.urls.api, await accessToken({ home: stack.home, user, acr: 'mfa' }))
  const sam = await clientOf('sam')
  const { items } = expectStatus(await sam.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
  const ids = new Map(items.map(({ name, id }) => [name, id]))
  const identityId = (name: string): string => {
    const id = ids.get(name)
    if (id === undefined) throw new Error(`there is no identity ${name}`)
    return id
  }
  const place = (name: string, minutes = 30) =>
    sam.post<Checkout>(`/v1/identities/${identityId(name)}/checkout`, { reason: 'A test', durationMinutes: minutes })

  const sql: Product['sql'] = async (text, values) => {
    const client = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
    await client.connect()
    return client.query(text, values).finally(() => client.end())
  }
  const busy = (name: string) =>
    sql(
      `select not exists (select from rotation where identity_id = $1 and state = 'pending') and not exists (select from lease where identity_id = $1 and state = 'active') as free`,
      [identityId(name)],
    )

  return {
    sam,
    clientOf,
    identityId,
    place,
    takeWhenFree: async (name, minutes) => {
      const limit = Date.now() + 60_000
      for (;;) {
        const answer = await place(name, minutes)
        if (answer.status === 201 || Date.now() > limit) return expectStatus(answer, 201)
        await sleep(200)
      }
    },
    untilFree: async (name) => {
      const limit = Date.now() + 60_000
      for (;;) {
        const { rows } = await busy(name)
        if (rows[0].free) return
        if (Date.now() > limit) throw new Error(`${name} does not become free`)
        await sleep(100)
      }
    },
    checkin: (lease) => sam.post(`/v1/leases/${lease.id}/checkin`, {}),
    reveal: async (name) =>
      expectStatus(await sam.post<Credential & Record<string, unknown>>(`/v1/identities/${identityId(name)}/reveal`, { reason: 'A test' }), 200),
    refused: async ({ username, value }) => {
      const { hostname, port } = new URL(stack.urls.target)
      const client = new pg.Client({ host: hostname, port: Number(port), user: username, password: value, database: 'postgres' })
      client.on('error', () => {})
      return client.connect().then(
        () => client.end().then(() => undefined),
        (error: { code?: string }) => error.code ?? 'no answer',
      )
    },
    untilConfirmed: async (rotationId, limitMs = 60_000) => {
      const limit = Date.now() + limitMs
      for (;;) {
        const { body, status } = await sam.get<{ state: string; phase: string }>(`/v1/rotations/${rotationId}`)
        if (status === 200 && body.state === 'confirmed') return
        if (Date.now() > limit) throw new Error(`the rotation stays ${body.state} in phase ${body.phase}`)
        await sleep(100)
      }
    },
    sql,
  }
}
