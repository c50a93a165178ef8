import { performance } from 'node:perf_hooks'
import pg from 'pg'
import { expectStatus, type ApiClient } from './api-client.ts'

/** Where the tour goes and as whom. */
export interface TourStops {
  readonly as: (sub: 'sam' | 'mia' | 'axe') => Promise<ApiClient>
  readonly target: { readonly host: string; readonly port: number }
  /** Takes one line per step. */
  readonly print: (line: string) => void
}

interface LeaseAnswer {
  readonly id: string
  readonly state: string
  readonly expiresAt: string
  readonly endCause: string | null
  readonly rotationId: string | null
}
interface CheckoutAnswer {
  readonly lease: LeaseAnswer
  readonly credential: { readonly username: string; readonly value: string }
}
interface RotationAnswer {
  readonly id: string
  readonly state: string
  readonly phase: string
}

const patience = 60_000

/**
 * Does the main job once, against the real target: checkout, use, refusal of a second one, checkin, rotation through the
 * connector, and the proof of each step in the audit log. May be repeated on a used stack.
 *
 * @throws Error naming the step that failed
 */
export async function tour({ as, target, print }: TourStops): Promise<void> {
  const step = stepPrinter(print)
  const sam = await as('sam')
  const identity = await step('sam finds the identity orders-db', async () => {
    const { items } = expectStatus(await sam.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
    const found = items.find((item) => item.name === 'orders-db')
    if (found === undefined) throw new Error('orders-db is not seeded')
    return [found, found.id]
  })
  const checkout = await step('sam checks it out', async () => {
    const answer = await whenFree(() =>
      sam.post<CheckoutAnswer>(`/v1/identities/${identity.id}/checkout`, { reason: 'Tour: look at an order', durationMinutes: 30 }),
    )
    return [answer, `lease ${answer.lease.id} until ${answer.lease.expiresAt}`]
  })
  const old = checkout.credential
  await step('the credential logs in on the real target', async () => [undefined, `current_user = ${await login(target, old)}`])
  await step('a second checkout, by mia, is refused', async () => {
    const { status, body } = await (
      await as('mia')
    ).post<{ title: string }>(`/v1/identities/${identity.id}/checkout`, { reason: 'Tour: me too', durationMinutes: 30 })
    if (status !== 409) throw new Error(`expected 409, got ${status}`)
    return [undefined, `409 "${body.title}"`]
  })
  const lease = await step('sam checks it in', async () => {
    const answer = expectStatus(await sam.post<{ lease: LeaseAnswer }>(`/v1/leases/${checkout.lease.id}/checkin`, {}), 200).lease
    return [answer, `lease ${answer.state}, cause ${answer.endCause}`]
  })
  const rotation = await step('the checkin owes a rotation', async () => {
    if (lease.rotationId === null) throw new Error('no rotation')
    const answer = await readRotation(sam, lease.rotationId)
    return [answer, `rotation ${answer.id} ${answer.state}`]
  })
  await step('the connector changes the password on the target', async () => [undefined, `rotation ${(await confirmed(sam, rotation.id)).state}`])
  await step('the target refuses the old password', async () => [undefined, await refusal(target, old)])
  await step('the vaulted password logs in', async () => {
    const shown = expectStatus(await sam.post<{ username: string; value: string }>(`/v1/identities/${identity.id}/reveal`, { reason: 'Tour: proof' }), 200)
    return [undefined, `current_user = ${await login(target, shown)}`]
  })
  await step('every step has its audit event', async () => [undefined, await auditTrail(await as('axe'), lease.id, rotation.id)])
}

function stepPrinter(print: (line: string) => void) {
  return async <T>(what: string, act: () => Promise<[result: T, proof: string]>): Promise<T> => {
    const began = performance.now()
    try {
      const [result, proof] = await act()
      print(`  ${what.padEnd(50)} ${`${Math.round(performance.now() - began)} ms`.padStart(8)}  ${proof}`)
      return result
    } catch (error) {
      throw new Error(`tour: ${what}: ${error instanceof Error ? error.message : 'failed'}`, { cause: error })
    }
  }
}

/** On a used stack somebody may hold the identity, or its last rotation may still run. */
async function whenFree(post: () => Promise<{ status: number; headers: Headers; body: CheckoutAnswer }>): Promise<CheckoutAnswer> {
  const deadline = performance.now() + patience
  for (;;) {
    const answer = await post()
    if (answer.status !== 409 || performance.now() > deadline) return expectStatus(answer, 201)
    await pause(500)
  }
}

async function readRotation(api: ApiClient, id: string): Promise<RotationAnswer> {
  return expectStatus(await api.get<RotationAnswer>(`/v1/rotations/${id}`), 200)
}

async function confirmed(api: ApiClient, id: string): Promise<RotationAnswer> {
  const deadline = performance.now() + patience
  for (;;) {
    const rotation = await readRotation(api, id)
    if (rotation.state === 'confirmed') return rotation
    if (rotation.state !== 'pending' || performance.now() > deadline) throw new Error(`the rotation is ${rotation.state} in phase ${rotation.phase}`)
    await pause(100)
  }
}

async function login(target: TourStops['target'], { username, value }: { username: string; value: string }): Promise<string> {
  const client = new pg.Client({ ...target, user: username, password: value, database: 'postgres', connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    const { rows } = await client.query<{ who: string }>('select current_user as who')
    return rows[0]?.who ?? ''
  } finally {
    await client.end()
  }
}

/** SQLSTATE 28P01: wrong password. */
async function refusal(target: TourStops['target'], credential: { username: string; value: string }): Promise<string> {
  const refused = await login(target, credential).then(
    () => undefined,
    (error: { code?: string }) => error.code,
  )
  if (refused !== '28P01') throw new Error(refused === undefined ? 'it still logs in' : `unexpected answer ${refused}`)
  return '28P01 password authentication failed'
}

const expectedActions = ['lease.granted', 'lease.ended', 'rotation.requested', 'rotation.staged', 'job.claimed', 'job.reported', 'rotation.confirmed']

async function auditTrail(api: ApiClient, leaseId: string, rotationId: string): Promise<string> {
  const events = await Promise.all(
    [`leaseId=${leaseId}`, `rotationId=${rotationId}`].map(
      async (filter) => expectStatus(await api.get<{ items: { action: string }[] }>(`/v1/audit/events?limit=100&${filter}`), 200).items,
    ),
  )
  const actions = events.flat().map((event) => event.action)
  const missing = expectedActions.filter((action) => !actions.includes(action))
  if (missing.length > 0) throw new Error(`no event ${missing.join(', ')}`)
  return expectedActions.join(', ')
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
