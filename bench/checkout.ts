import { performance } from 'node:perf_hooks'
import type { Aim } from './aims.ts'
import { summaryOf } from './aims.ts'
import { openBareTemporal, type BareTemporal } from './bare-temporal.ts'
import { strikeDuties, untilClosed, untilDelivered } from './drain.ts'
import { figuresOf, type Figures, type Run } from './figures.ts'
import { createRequests, type Requests } from './requests.ts'
import { runLeases } from './sustained.ts'
import { openBareTransaction, type BareTransaction } from './transaction.ts'
import { createWorld, type World } from './world.ts'

type Say = (line: string) => void

interface Bench {
  readonly world: World
  readonly requests: Requests
  readonly transaction: BareTransaction
  readonly temporal: BareTemporal
  readonly say: Say
}

const burst = 2_000
const lanes = 32
const worker = 'worker-1'

/** Rounds of each: the measured case and both limits in turn, so that a busy machine slows all three. */
const latencyRounds = [
  { clients: 1, rounds: 5, requests: 120, updates: 20 },
  { clients: 8, rounds: 2, requests: 400, updates: 40 },
  { clients: 32, rounds: 2, requests: burst, updates: 96 },
] as const

interface Measured {
  readonly checkout: Figures
  readonly transaction: Figures
  readonly update: Figures
}

/** The speed of a checkout beside what it is made of: its deciding transaction, and what an update-with-start would take instead. */
export async function checkoutBench(say: Say, profiles?: string): Promise<void> {
  const world = await createWorld(burst, profiles)
  try {
    const [transaction, temporal] = await Promise.all([openBareTransaction(world), openBareTemporal(world.stack)])
    const bench: Bench = { world, requests: createRequests(world), transaction, temporal, say }
    try {
      say(summaryOf(await measure(bench)))
    } finally {
      bench.requests.close()
      await Promise.all([transaction.close(), temporal.close()])
    }
  } finally {
    await world.stop()
  }
}

async function measure(bench: Bench): Promise<Aim[]> {
  const { world, say } = bench
  await warmUp(bench)
  await world.stack.hold(worker)
  say('whole requests, worker paused    count   p50 ms   p99 ms   rate/s')
  const measured = new Map<number, Measured>()
  for (const plan of latencyRounds) measured.set(plan.clients, await inTurn(bench, plan))
  await withProofs(bench)
  await strikeDuties(world.superuser)
  await world.stack.restart(worker)
  const ratio = await sustained(bench)
  await drain(bench)
  const [one, many] = [measured.get(1) as Measured, measured.get(lanes) as Measured]
  return [
    { name: 'p50 at 1 client in bare transactions', reached: one.checkout.p50 / one.transaction.p50, atMost: 3 },
    { name: 'p50 at 1 client in updates-with-start', reached: one.checkout.p50 / one.update.p50, atMost: 0.125, digits: 3 },
    { name: 'burst checkouts/s at 32 clients', reached: many.checkout.rate, atLeast: 600, digits: 0 },
    { name: 'sustained leases/s in bare start+signal+close', reached: ratio, atLeast: 0.6 },
  ]
}

/** Code is compiled and statements are planned before the clock runs. */
async function warmUp({ world, requests, transaction, temporal }: Bench): Promise<void> {
  const some = world.identityIds.slice(0, 600)
  for (const proof of ['bearer', 'dpop'] as const) await requests.checkIn((await requests.checkOut(some, lanes, proof)).taken, lanes)
  await requests.checkIn((await transaction.run(some, lanes)).taken, lanes)
  await temporal.updateWithStart(40, 8)
  // Plans that were made while the tables were empty stay until autovacuum has counted rows, a minute or two later.
  await world.superuser.query('vacuum analyze')
}

async function inTurn(bench: Bench, plan: (typeof latencyRounds)[number]): Promise<Measured> {
  const { world, requests, transaction, temporal } = bench
  const runs: Record<keyof Measured, Run[]> = { checkout: [], transaction: [], update: [] }
  const identityIds = world.identityIds.slice(0, plan.requests)
  for (let round = 0; round < plan.rounds; round += 1) {
    const bare = await transaction.run(identityIds, plan.clients)
    await requests.checkIn(bare.taken, lanes)
    const whole = await requests.checkOut(identityIds, plan.clients, 'bearer')
    await requests.checkIn(whole.taken, lanes)
    runs.transaction.push(bare)
    runs.checkout.push(whole)
    runs.update.push(await temporal.updateWithStart(plan.updates, plan.clients))
  }
  const measured = { checkout: figuresOf(runs.checkout), transaction: figuresOf(runs.transaction), update: figuresOf(runs.update) }
  line(bench, `${plan.clients} client(s), checkout`, measured.checkout)
  line(bench, `${plan.clients} client(s), bare transaction`, measured.transaction)
  line(bench, `${plan.clients} client(s), update-with-start`, measured.update)
  return measured
}

/** The same with DPoP-bound tokens and a proof per request. */
async function withProofs(bench: Bench): Promise<void> {
  for (const [clients, count] of [
    [1, 300],
    [lanes, 1_000],
  ] as const) {
    const run = await bench.requests.checkOut(bench.world.identityIds.slice(0, count), clients, 'dpop')
    await bench.requests.checkIn(run.taken, lanes)
    line(bench, `${clients} client(s), checkout, DPoP`, figuresOf([run]))
  }
}

/** @returns leases/s as a share of the bare rate */
async function sustained(bench: Bench): Promise<number> {
  const { world, requests, temporal } = bench
  const runs: { readonly lease: Run[]; readonly bare: Run[] } = { lease: [], bare: [] }
  let backlog = 0
  let left = 0
  for (let round = 0; round < 2; round += 1) {
    runs.bare.push(await temporal.startSignalClose(500, lanes))
    const lease = await runLeases(world, requests, temporal, world.identityIds.slice(0, 500), lanes)
    runs.lease.push(lease)
    backlog = Math.max(backlog, lease.highestBacklog)
    left = Math.max(left, lease.left)
  }
  const [lease, bare] = [figuresOf(runs.lease), figuresOf(runs.bare)]
  bench.say(`whole lives, worker running`)
  line(bench, 'leases, 32 lanes', lease)
  line(bench, 'bare start+signal+close', bare)
  bench.say(`duties owed at most ${backlog} at once, ${left} at the end`)
  return lease.rate / bare.rate
}

/** The third figure: how long what a burst owes takes, with the worker away until then. */
async function drain({ world, requests, temporal, say }: Bench): Promise<void> {
  await world.stack.hold(worker)
  const { taken } = await requests.checkOut(world.identityIds, lanes, 'bearer')
  await world.stack.restart(worker)
  const started = await untilDelivered(world.superuser, performance.now())
  await requests.checkIn(taken, lanes)
  const closed = await untilClosed(temporal.client, performance.now())
  say(`drain of ${burst}: all started ${seconds(started)} s after the worker was ready, all closed ${seconds(closed)} s after the last checkin`)
}

const seconds = (ms: number): string => (ms / 1_000).toFixed(1)

function line({ say }: Bench, name: string, { count, p50, p99, rate }: Figures): void {
  say(`${name.padEnd(32)}${String(count).padStart(6)}${p50.toFixed(2).padStart(9)}${p99.toFixed(2).padStart(9)}${rate.toFixed(0).padStart(9)}`)
}
