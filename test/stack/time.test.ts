import type { Client } from '@temporalio/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectStatus } from '#stack/api-client.ts'
import { acme } from '#stack/people.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import type { Sweep } from '#workflows/messages.ts'
import { skipTime } from '../support/temporal.ts'
import { openTemporal } from './open-temporal.ts'
import { useProduct, type Checkout, type Product } from './product.ts'

const minute = 60_000
const day = 1_440 * minute

let stack: Stack
let product: Product
let closeTemporal: () => Promise<void>
let temporal: Client
beforeAll(async () => {
  stack = await startStack({ timeSkipping: true })
  product = await useProduct(stack)
  const { client, close } = await openTemporal(stack)
  temporal = client
  closeTemporal = close
}, 120_000)
afterAll(async () => {
  await closeTemporal?.()
  await stack?.stop()
})

/** Moves the clock of every decision about the account that owns this identity. */
const moveClock = (identity: string, ms: number) =>
  product.sql(
    `insert into clock_shift select account_id, make_interval(secs => $2::float8) from identity where id = $1
      on conflict (account_id) do update set shift = clock_shift.shift + excluded.shift`,
    [product.identityId(identity), ms / 1_000],
  )

async function leaseRow(id: string) {
  const { rows } = await product.sql(
    `select l.*, r.state as rotation_state, app_clock(l.account_id) as now from lease l left join rotation r on r.id = l.rotation_id where l.id = $1`,
    [id],
  )
  return rows[0]
}

describe('time', () => {
  test('makes an identity due: the sweep, every 30 minutes, rotates it and counts the next date from the one that was due', async () => {
    const ola = await product.clientOf('ola')
    const identity = product.identityId('reports-db')
    const set = expectStatus(await ola.patch<{ nextRotationAt: string }>(`/v1/identities/${identity}`, { rotationIntervalDays: 1 }), 200)
    const due = Date.parse(set.nextRotationAt)
    const before = await product.reveal('reports-db')
    const sweep = temporal.schedule.getHandle('rotation-sweep' satisfies Sweep)
    const { spec } = await sweep.describe()
    expect(spec.intervals).toMatchObject([{ every: 30 * minute }])

    /** @returns how many rotations it began */
    const sweepOnce = async (): Promise<number> => {
      const { numActionsTaken } = (await sweep.describe()).info
      await sweep.trigger()
      await expect.poll(async () => (await sweep.describe()).info.numActionsTaken).toBe(numActionsTaken + 1)
      const { action } = (await sweep.describe()).info.recentActions.at(-1) ?? {}
      return temporal.workflow.getHandle(action?.workflow.workflowId ?? '').result()
    }
    expect(await sweepOnce()).toBe(0)
    const rotations = async () =>
      (await product.sql(`select trigger, state, due_at from rotation where identity_id = $1`, [identity])).rows.map((row) => ({
        ...row,
        due_at: Number(row.due_at),
      }))

    // Two and a half intervals late: one rotation, and the schedule keeps its hour.
    await moveClock('reports-db', 3.5 * day)
    expect(await sweepOnce()).toBe(1)
    await expect.poll(rotations, { timeout: 30_000 }).toEqual([{ trigger: 'scheduled', state: 'confirmed', due_at: due }])
    const after = expectStatus(await ola.get<{ nextRotationAt: string }>(`/v1/identities/${identity}`), 200)
    expect(Date.parse(after.nextRotationAt)).toBe(due + 3 * day)
    expect(await product.refused(before)).toBe('28P01')
    expect(await product.refused(await product.reveal('reports-db'))).toBeUndefined()
  }, 90_000)

  test('ends a lease of 1440 minutes at its minute and not before; then the password rotates and the one that was shown is dead', async () => {
    const { lease, credential } = await product.takeWhenFree('orders-db', 1_440)
    const { account_id: account } = await leaseRow(lease.id)
    const workflow = temporal.workflow.getHandle(`lease:${account}:${lease.id}`)
    // It has looked, and waits: only then can its clock be moved.
    await expect.poll(async () => (await workflow.describe()).searchAttributes['LeaseholdState'], { timeout: 10_000 }).toEqual(['active'])

    await moveClock('orders-db', 1_439 * minute)
    await skipTime(temporal, `lease:${account}:${lease.id}`, 1_439 * minute)
    const checks = Array.from({ length: 5 }, async (_, turn) => {
      await new Promise((resolve) => setTimeout(resolve, turn * 600))
      return (await leaseRow(lease.id)).state
    })
    expect(new Set(await Promise.all(checks))).toEqual(new Set(['active']))
    expect(await product.refused(credential)).toBeUndefined()

    await moveClock('orders-db', minute)
    await skipTime(temporal, `lease:${account}:${lease.id}`, minute)
    await expect.poll(() => leaseRow(lease.id), { timeout: 20_000 }).toMatchObject({ state: 'ended', end_cause: 'expired', rotation_state: 'confirmed' })
    const row = await leaseRow(lease.id)
    expect(Number(row.expires_at) - Number(row.started_at)).toBe(day)
    expect(Number(row.ended_at) - Number(row.expires_at)).toBeGreaterThanOrEqual(0)
    expect(Number(row.ended_at) - Number(row.expires_at)).toBeLessThan(minute)
    expect(await product.refused(credential)).toBe('28P01')
    expect(await product.refused(await product.reveal('orders-db'))).toBeUndefined()
    expect((await product.sql(`select count(*)::int as ends from audit_event where lease_id = $1 and action = 'lease.ended'`, [lease.id])).rows).toEqual([
      { ends: 1 },
    ])
    await expect.poll(async () => (await workflow.describe()).status.name).toBe('COMPLETED')
  }, 90_000)

  test('ends a lease with the grant that carries it: within 5 s released, audited as that, and rotated', async () => {
    const [mia, vic] = [await product.clientOf('mia'), await product.clientOf('vic')]
    const { items } = expectStatus(await mia.get<{ items: { id: string; name: string }[] }>('/v1/identity-groups?limit=100'), 200)
    const vault = items.find(({ name }) => name === 'demo')?.id
    const principal = { type: 'user', id: acme.users.find(({ sub }) => sub === 'vic')?.idpId }
    await product.untilFree('orders-db')
    const now = Number((await product.sql(`select app_clock(account_id) as now from vault where id = $1`, [vault])).rows[0].now)
    const expiresAt = new Date(now + 60 * minute).toISOString()
    expectStatus(await mia.post(`/v1/identity-groups/${vault}/grants`, { principal, level: 'checkout', expiresAt }), 201)
    const path = `/v1/identities/${product.identityId('orders-db')}/checkout`
    const { lease, credential } = expectStatus(await vic.post<Checkout>(path, { reason: 'A test', durationMinutes: 240 }), 201)
    const { account_id: account, expires_at: end } = await leaseRow(lease.id)
    expect(new Date(end).toISOString()).toBe(expiresAt)
    const workflow = `lease:${account}:${lease.id}`
    await expect
      .poll(async () => (await temporal.workflow.getHandle(workflow).describe()).searchAttributes['LeaseholdState'], { timeout: 10_000 })
      .toEqual(['active'])
    await moveClock('orders-db', 60 * minute)
    await skipTime(temporal, workflow, 60 * minute)
    await expect.poll(() => leaseRow(lease.id), { timeout: 5_000 }).toMatchObject({ state: 'ended', end_cause: 'grant_ended', rotation_state: 'confirmed' })
    expect(await product.refused(credential)).toBe('28P01')
    const ends = await product.sql(`select outcome from audit_event where lease_id = $1 and action = 'lease.ended'`, [lease.id])
    expect(ends.rows).toEqual([{ outcome: 'grant_ended' }])
    expect((await vic.post<{ code: string }>(path, { reason: 'A test', durationMinutes: 30 })).body.code).toBe('forbidden')
  }, 60_000)
})
