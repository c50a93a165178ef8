import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import type pg from 'pg'

const everyMs = 100
const patience = 150_000

/** Strikes out what measured checkouts left owed while the worker was away, so that what comes next begins with nothing owed. */
export async function strikeDuties(superuser: pg.Client): Promise<void> {
  await superuser.query(`update obligation set delivered = version, closed = true where kind = 'lease' and delivered < version`)
}

/** Waits until every duty of a lease was delivered. @returns ms since `began` */
export async function untilDelivered(superuser: pg.Client, began: number): Promise<number> {
  return until(began, async () => {
    const { rows } = await superuser.query<{ owed: boolean }>(`select exists (select from obligation where kind = 'lease' and delivered < version) as owed`)
    return rows[0]?.owed === false
  })
}

/** Waits until no workflow of a lease is open. @returns ms since `began` */
export async function untilClosed(client: Client, began: number): Promise<number> {
  return until(began, async () => (await client.workflow.count(`WorkflowType = 'lease' and ExecutionStatus = 'Running'`)).count === 0)
}

async function until(began: number, done: () => Promise<boolean>): Promise<number> {
  while (!(await done())) {
    if (performance.now() - began > patience) throw new Error(`not drained within ${patience / 1_000} s`)
    await sleep(everyMs)
  }
  return performance.now() - began
}
