import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expectStatus } from '#stack/api-client.ts'
import type { Stack } from '#stack/test-stack.ts'
import type { Checkout, Product } from '../stack/product.ts'

/** One way in which a part dies while a lease of `orders-db` ends and its rotation runs. */
export interface KillCase {
  readonly name: string
  /** Provokes it and repairs it. @returns the checkout whose duties must be done afterwards */
  readonly provoke: (stack: Stack, product: Product) => Promise<Checkout>
}

/** A process dies at a point of its code, and is started again by the supervisor. */
const crash = (process: string, point: string): KillCase => ({
  name: `${process} dies at: ${point}`,
  provoke: (stack, product) => dieAt(stack, product, process, point),
})

/** A server is killed while nobody knows what the target has, and comes back after a while. */
const outage = (server: string, awayMs: number): KillCase => ({
  name: `${server} is away for ${awayMs / 1_000} s in the middle of a job`,
  provoke: async (stack, product) => {
    const checkout = await dieAt(stack, product, 'connector', 'job changed')
    await stack.hold(server, 'SIGKILL')
    await sleep(awayMs)
    await stack.restart(server)
    return checkout
  },
})

/**
 * The instant at which a password is lost that is written down after the change only: the target has answered, and whoever could
 * record it dies. The connector dies at that point of its code, the others are killed with it.
 */
const answered = (others: readonly string[]): KillCase => ({
  name: `when the target has answered, ${['connector', ...others].join(', ')} die together`,
  provoke: async (stack, product) => {
    const checkout = await dieAt(stack, product, 'connector', 'job changed')
    for (const name of others) await stack.kill(name)
    return checkout
  },
})

/** A process stands still for a while, with everything that it holds, and goes on. */
const freeze = (process: string, forMs: number): KillCase => ({
  name: `${process} stands still for ${forMs / 1_000} s`,
  provoke: async (stack, product) => {
    const checkout = await product.takeWhenFree('orders-db')
    await stack.kill(process, 'SIGSTOP')
    expectStatus(await product.checkin(checkout.lease), 200)
    await sleep(forMs)
    await stack.kill(process, 'SIGCONT')
    return checkout
  },
})

const lostAnswer: KillCase = {
  name: 'the API dies after its commit and before its answer; the retry with the same key gets the same lease',
  provoke: async (stack, product) => {
    const key = randomUUID()
    const path = `/v1/identities/${product.identityId('orders-db')}/checkout`
    const ask = () => product.sam.post<Checkout>(path, { reason: 'A test', durationMinutes: 30 }, key)
    await product.untilFree('orders-db')
    await stack.restart('api-1', 'checkout committed')
    const lost = await ask().then(
      () => false,
      () => true,
    )
    if (!lost) throw new Error('the API answered')
    const { rows } = await product.sql(`select id from lease where state = 'active' and identity_id = $1`, [product.identityId('orders-db')])
    await until(async () => (await ask().catch(() => undefined))?.status === 201, 'the retry does not pass')
    const checkout = expectStatus(await ask(), 201)
    if (rows.length !== 1 || rows[0].id !== checkout.lease.id) throw new Error('the retry got another lease')
    if ((await product.refused(checkout.credential)) !== undefined) throw new Error('the retry got a credential that is refused')
    expectStatus(await product.checkin(checkout.lease), 200)
    return checkout
  },
}

/** Cases of the core: every process at every point, every server, and processes that stand still. */
export const killCases = (awayMs: number): readonly KillCase[] => [
  lostAnswer,
  ...['duty delivered', 'value staged', 'jobs opened'].map((point) => crash('worker-1', point)),
  ...['claim committed', 'result committed'].map((point) => crash('bridge', point)),
  ...['job received', 'job claimed', 'job applying', 'job changed', 'job applied', 'job proven', 'job verified', 'job acknowledged'].map((point) =>
    crash('connector', point),
  ),
  ...['nats', 'openbao', 'postgres', 'temporal'].map((server) => outage(server, awayMs)),
  ...[['bridge'], ['worker-1'], ['postgres'], ['bridge', 'worker-1', 'postgres']].map(answered),
  ...['worker-1', 'bridge', 'connector'].map((process) => freeze(process, awayMs)),
]

/** The lease of a checkout ends, and the process dies where what follows from it comes to this point of its code. */
async function dieAt(stack: Stack, product: Product, process: string, point: string): Promise<Checkout> {
  const checkout = await product.takeWhenFree('orders-db')
  const before = await startsOf(stack, process)
  await stack.restart(process, point)
  expectStatus(await product.checkin(checkout.lease), 200)
  await until(async () => (await startsOf(stack, process)) >= before + 2, `${process} does not come to: ${point}`)
  return checkout
}

async function startsOf(stack: Stack, name: string): Promise<number> {
  return (await stack.processes()).find((process) => process.name === name)?.starts ?? 0
}

async function until(check: () => Promise<boolean>, complaint: string, limitMs = 40_000): Promise<void> {
  const limit = Date.now() + limitMs
  while (!(await check())) {
    if (Date.now() > limit) throw new Error(complaint)
    await sleep(50)
  }
}
