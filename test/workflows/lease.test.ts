import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { minute } from './facts.ts'
import { createLab, until, type Lab } from './lab.ts'
import { createLeaseWorld } from './lease-world.ts'

const leases = createLeaseWorld()
let lab: Lab
beforeAll(async () => {
  lab = await createLab(leases)
}, 60_000)
afterAll(() => lab.stop())

const isRunning = async (workflowId: string) => (await lab.temporal.client.workflow.getHandle(workflowId).describe()).status.name === 'RUNNING'

describe('the workflow of a lease', () => {
  test('ends a lease of 1440 minutes at its minute, and not before', async () => {
    const lease = leases.grant(1440)
    const id = await lab.poke('lease', lease)
    await until(() => leases.looks(lease) > 0)
    await lab.pass(id, leases.clock, 1439 * minute)
    expect(leases.read(lease).state).toBe('active')
    await lab.pass(id, leases.clock, minute)
    expect(await lab.ended(id)).toBe('COMPLETED')
    const { endedAt, endCause, expiresAt } = leases.read(lease)
    expect(endCause).toBe('expired')
    expect(Date.parse(endedAt ?? '') - Date.parse(expiresAt)).toBeLessThan(minute)
    expect(Date.parse(endedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(expiresAt))
    await lab.record('lease-expired', id)
  }, 30_000)

  test('stays with an expired lease until the rotation that its end owes is confirmed', async () => {
    const lease = leases.grant(30, { rotationOwed: true })
    const id = await lab.poke('lease', lease)
    await until(() => leases.looks(lease) > 0)
    await lab.pass(id, leases.clock, 31 * minute)
    await until(() => leases.read(lease).endCause === 'expired')
    expect(leases.read(lease).rotation?.state).toBe('pending')
    expect(await isRunning(id)).toBe(true)
    leases.settle(lease, 'confirmed')
    await lab.poke('lease', lease)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('lease-expired-rotated', id)
  }, 30_000)

  test('is over at once when the lease is checked in and owes nothing', async () => {
    const lease = leases.grant(30)
    const id = await lab.poke('lease', lease)
    await until(() => leases.looks(lease) > 0)
    leases.end(lease, 'checked_in')
    await lab.poke('lease', lease)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('lease-checked-in', id)
  })

  test('follows an extension: the old end passes, the new one ends it', async () => {
    const lease = leases.grant(5)
    const id = await lab.poke('lease', lease)
    await until(() => leases.looks(lease) > 0)
    leases.extend(lease, 30)
    await lab.poke('lease', lease)
    await lab.pass(id, leases.clock, 20 * minute)
    expect(leases.read(lease).state).toBe('active')
    await lab.pass(id, leases.clock, 16 * minute)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(leases.read(lease)).toMatchObject({ endCause: 'expired', version: 2 })
    await lab.record('lease-extended', id)
  }, 30_000)

  test('follows an extension whose poke got lost', async () => {
    const lease = leases.grant(5)
    const id = await lab.poke('lease', lease)
    await until(() => leases.looks(lease) > 0)
    leases.extend(lease, 30)
    await lab.pass(id, leases.clock, 6 * minute)
    await until(() => leases.looks(lease) > 1)
    expect(leases.read(lease).state).toBe('active')
    await lab.pass(id, leases.clock, 30 * minute)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(leases.read(lease).endCause).toBe('expired')
  }, 30_000)

  test('a forced end with a rotation that fails for good is a whole story', async () => {
    const lease = leases.grant(60)
    const id = await lab.poke('lease', lease)
    await until(() => leases.looks(lease) > 0)
    leases.end(lease, 'forced', 'pending')
    await lab.poke('lease', lease)
    leases.settle(lease, 'failed')
    await lab.poke('lease', lease)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('lease-forced-rotation-failed', id)
  })

  test('survives pokes in any number and order, and a first look that comes late', async () => {
    const lease = leases.grant(30)
    leases.end(lease, 'checked_in', 'pending')
    const id = await lab.poke('lease', lease)
    await Promise.all(Array.from({ length: 20 }, () => lab.poke('lease', lease)))
    expect(await isRunning(id)).toBe(true)
    leases.settle(lease, 'confirmed')
    await lab.poke('lease', lease)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('lease-many-pokes', id)
  })

  test('looks again until PostgreSQL answers', async () => {
    const lease = leases.grant(30)
    leases.end(lease, 'checked_in')
    leases.fail(3)
    const id = await lab.poke('lease', lease)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('lease-database-down', id)
  })

  test('of a lease that PostgreSQL does not know fails with the code of the error table', async () => {
    const id = await lab.poke('lease', { accountId: randomUUID(), subjectId: randomUUID() })
    expect(await lab.ended(id)).toBe('FAILED')
    const error = await lab.temporal.client.workflow
      .getHandle(id)
      .result()
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({ cause: { type: 'not-found' } })
  })

  test('can be terminated and poked again at any time', async () => {
    const lease = leases.grant(30)
    const id = await lab.poke('lease', lease)
    await lab.temporal.client.workflow.getHandle(id).terminate()
    leases.end(lease, 'checked_in')
    await lab.poke('lease', lease)
    expect(await lab.ended(id)).toBe('COMPLETED')
  })

  test('shows vault, identity, state, mode and end to a search, and nothing else', async () => {
    const lease = leases.grant(30, { mode: 'break_glass' })
    const id = await lab.poke('lease', lease)
    await until(() => leases.looks(lease) > 0)
    const attributesOf = async () => (await lab.temporal.client.workflow.getHandle(id).describe()).searchAttributes
    await until(async () => Object.keys(await attributesOf()).includes('LeaseholdState'))
    const { vaultId, identityId, expiresAt } = leases.read(lease)
    const { BuildIds: _, ...ours } = await attributesOf()
    expect(ours).toEqual({
      LeaseholdVault: [vaultId],
      LeaseholdIdentity: [identityId],
      LeaseholdState: ['active'],
      LeaseholdMode: ['break_glass'],
      LeaseholdExpiresAt: [new Date(expiresAt)],
      LeaseholdBreakGlass: [true],
    })
    leases.end(lease, 'checked_in')
    await lab.poke('lease', lease)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect((await attributesOf())['LeaseholdState']).toEqual(['ended'])
  })
})
