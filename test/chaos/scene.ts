import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expectStatus, type ApiAnswer, type ApiClient } from '#stack/api-client.ts'
import type { Stack } from '#stack/test-stack.ts'
import type { Checkout, Lease, Product } from '../stack/product.ts'
import type { Account } from './target.ts'
import type { VaultValues } from './vault-values.ts'

/** What a case may use: a running stack, and one account that nobody holds. */
export interface Scene {
  readonly stack: Stack
  readonly product: Product
  readonly values: VaultValues
  readonly mia: ApiClient
  readonly account: Account
  /** How long something is away, ms. */
  readonly awayMs: number
}

/** What must be in order when everything runs again. */
export interface Aftermath {
  readonly lease: Lease
  /** How the rotations since that lease have ended, in their order; absent: one is confirmed. */
  readonly rotations?: readonly string[]
}

/** Asks until the answer is the one that must come: whoever answers may just be dying. @throws Error with the last answer */
export async function insist<T>(ask: () => Promise<ApiAnswer<T>>, status: number, limitMs = 60_000): Promise<T> {
  const limit = Date.now() + limitMs
  for (;;) {
    const answer = await ask().catch((error: Error) => error)
    if (!(answer instanceof Error) && (answer.status === status || Date.now() > limit)) return expectStatus(answer, status)
    if (Date.now() > limit) throw answer
    await sleep(200)
  }
}

/** Asks a server that may just be away until it answers. @throws Error of the last try */
async function answered<T>(ask: () => Promise<T>, limitMs = 60_000): Promise<T> {
  const limit = Date.now() + limitMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (Date.now() > limit) throw error
    }
    await sleep(200)
  }
}

/** Checks out, with one key however often it must ask: one lease comes of it, and what it shows logs in. */
export async function take({ product, account }: Scene): Promise<Checkout> {
  const { identityId, places } = account
  const key = randomUUID()
  const checkout = await insist(() => product.sam.post<Checkout>(`/v1/identities/${identityId}/checkout`, { reason: 'A test', durationMinutes: 30 }, key), 201)
  const { rows } = await answered(() => product.sql(`select id from lease where state = 'active' and identity_id = $1`, [identityId]))
  if (rows.length !== 1 || rows[0].id !== checkout.lease.id) throw new Error('there is another lease than the one that was answered')
  const { username, value: password } = checkout.credential
  for (const place of places) if (!(await place.logsIn({ username, password }))) throw new Error(`${place.name}: the credential of the checkout is refused`)
  return checkout
}

export const giveBack = ({ product }: Scene, { lease }: Checkout): Promise<unknown> => insist(() => product.checkin(lease), 200)

export async function until(check: () => Promise<boolean>, complaint: string, limitMs = 40_000): Promise<void> {
  const limit = Date.now() + limitMs
  while (!(await check())) {
    if (Date.now() > limit) throw new Error(complaint)
    await sleep(30)
  }
}
