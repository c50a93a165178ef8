import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import type { Stack } from '#stack/test-stack.ts'
import { openTemporal } from '../stack/open-temporal.ts'
import type { Checkout, Product } from '../stack/product.ts'

/** How long after everything runs again something may still be owed, ms. */
export const settleLimit = 60_000

/**
 * Waits until everything that a lease and its rotation owed is done.
 *
 * @returns what is wrong after the limit; empty: the lease has ended, one rotation is confirmed, the vaulted password logs in and
 *   the one that was shown does not, no row is active past its end, no workflow of a final row runs, no duty is owed or quarantined
 */
export async function unsettled(stack: Stack, product: Product, { lease, credential }: Checkout): Promise<string[]> {
  const { client, close } = await openTemporal(stack)
  try {
    const limit = Date.now() + settleLimit
    for (;;) {
      const wrong = await faults(product, client, lease.id).catch((error: Error) => [error.message])
      if (wrong.length > 0 && Date.now() < limit) {
        await sleep(250)
        continue
      }
      if ((await product.refused(credential)) !== '28P01') wrong.push('the password that was shown is not refused')
      const shown = await product.reveal('orders-db').catch(() => undefined)
      if (shown === undefined || (await product.refused(shown)) !== undefined) wrong.push('the vaulted password does not log in')
      return wrong
    }
  } finally {
    await close()
  }
}

async function faults(product: Product, client: Client, leaseId: string): Promise<string[]> {
  const { rows } = await product.sql(
    `select l.state,
      array(select r.state from rotation r where r.identity_id = l.identity_id and r.started_at >= l.started_at) as rotations,
      (select count(*)::int from lease o where o.state = 'active' and o.expires_at < app_clock(o.account_id)) as overdue,
      (select count(*)::int from obligation o where o.delivered < o.version and o.next_at <= clock_timestamp() and o.quarantined_at is null) as undelivered,
      (select count(*)::int from obligation o where o.quarantined_at is not null) as quarantined
    from lease l where l.id = $1`,
    [leaseId],
  )
  const [{ state, rotations, overdue, undelivered, quarantined }] = rows
  const running = await leftRunning(product, client)
  return [
    ...(state === 'ended' ? [] : [`the lease is ${state}`]),
    ...(rotations.join() === 'confirmed' ? [] : [`rotations: ${rotations.join() || 'none'}`]),
    ...(overdue === 0 ? [] : [`${overdue} leases past their end`]),
    ...(undelivered === 0 ? [] : [`${undelivered} duties undelivered`]),
    ...(quarantined === 0 ? [] : [`${quarantined} duties quarantined`]),
    ...running.map((id) => `still running: ${id}`),
  ]
}

const finality: Readonly<Record<string, string>> = {
  lease: `select state = 'ended' and coalesce((select r.state <> 'pending' from rotation r where r.id = rotation_id), true) as final from lease where id = $1`,
  rotation: `select state <> 'pending' as final from rotation where id = $1`,
  'access-request': `select state not in ('pending', 'approved') as final from access_request where id = $1`,
}

/** Running workflows whose subject is final. */
async function leftRunning(product: Product, client: Client): Promise<string[]> {
  const left: string[] = []
  for await (const { workflowId } of client.workflow.list({ query: `ExecutionStatus = 'Running'` })) {
    const [kind = '', , id] = workflowId.split(':')
    const query = finality[kind]
    if (query !== undefined && (await product.sql(query, [id])).rows[0]?.final === true) left.push(workflowId)
  }
  return left
}
