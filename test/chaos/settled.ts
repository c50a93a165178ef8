import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import { openTemporal } from '../stack/open-temporal.ts'
import type { Product } from '../stack/product.ts'
import { loginFaults } from './logins.ts'
import type { Aftermath, Scene } from './scene.ts'

/** How long after everything runs again something may still be owed, ms. */
export const settleLimit = 60_000

/**
 * Waits until everything that a lease and its rotations owed is done, and logs in everywhere.
 *
 * @returns what is wrong after the limit; empty: the lease has ended, the rotations have ended as they should, each end is written
 *   down once, no row is active past its end, no workflow of a final row runs, no duty is owed or quarantined, and what the vault
 *   knows of each host is what logs in there (see `loginFaults`)
 */
export async function unsettled({ stack, product, values, account }: Scene, aftermath: Aftermath): Promise<string[]> {
  const { client, close } = await openTemporal(stack)
  try {
    const limit = Date.now() + settleLimit
    for (;;) {
      const wrong = await faults(product, client, aftermath).catch((error: Error) => [error.message])
      if (wrong.length > 0 && Date.now() < limit) {
        await sleep(200)
        continue
      }
      return [...wrong, ...(await loginFaults(product, values, account).catch((error: Error) => [error.message]))]
    }
  } finally {
    await close()
  }
}

async function faults(product: Product, client: Client, { lease, rotations: wanted = ['confirmed'] }: Aftermath): Promise<string[]> {
  const { rows } = await product.sql(
    `select l.state,
      array(select r.state from rotation r where r.identity_id = l.identity_id and r.started_at >= l.started_at order by r.started_at) as rotations,
      (select count(*)::int from rotation r where r.identity_id = l.identity_id and r.state <> 'pending'
        and (select count(*) from audit_event a where a.rotation_id = r.id and a.action = 'rotation.' || r.state) <> 1) as misreported,
      (select count(*)::int from lease o where o.state = 'active' and o.expires_at < app_clock(o.account_id)) as overdue,
      (select count(*)::int from obligation o where o.delivered < o.version and o.next_at <= clock_timestamp() and o.quarantined_at is null) as undelivered,
      (select count(*)::int from obligation o where o.quarantined_at is not null) as quarantined
    from lease l where l.id = $1`,
    [lease.id],
  )
  const [{ state, rotations, misreported, overdue, undelivered, quarantined }] = rows
  const running = await leftRunning(product, client)
  return [
    ...(state === 'ended' ? [] : [`the lease is ${state}`]),
    ...(rotations.join() === wanted.join() ? [] : [`rotations: ${rotations.join() || 'none'}`]),
    ...(misreported === 0 ? [] : [`${misreported} rotations whose end is not in the audit log once`]),
    ...(overdue === 0 ? [] : [`${overdue} leases past their end`]),
    ...(undelivered === 0 ? [] : [`${undelivered} duties undelivered`]),
    ...(quarantined === 0 ? [] : [`${quarantined} duties quarantined`]),
    ...running.map((id) => `still running: ${id}`),
  ]
}

const finality: Readonly<Record<string, string>> = {
  lease: `select state = 'ended' and coalesce((select r.state <> 'pending' from rotation r where r.id = rotation_id), true) as final from lease where id = $1`,
  notification: `select not exists (select from notice_delivery where notice_id = $1 and state = 'pending') as final`,
  'support-access': `select state = 'ended' as final from support_access where id = $1`,
  'rotation-campaign': `select state in ('completed', 'aborted') as final from rotation_campaign where id = $1`,
  recertification: `select state <> 'open' as final from recertification where id = $1`,
  rotation: `select state <> 'pending' as final from rotation where id = $1`,
  'break-glass-review': `select state = 'signed' as final from break_glass_review where id = $1`,
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
