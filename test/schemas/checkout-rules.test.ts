import { describe, expect, test } from 'vitest'
import type { HostId, RotationId, UserId } from '#schemas/ids.ts'
import { checkoutRefusal, versionFor, type CheckoutState } from '#schemas/rules/checkout.ts'

const now = new Date('2026-03-01T12:00:00Z')
const minutesAgo = (minutes: number) => new Date(now.getTime() - minutes * 60_000)
const here = 'here' as HostId
const there = 'there' as HostId
const lease = (slot: number, minutes: number) => ({ slot, userId: 'sam' as UserId, holder: 'Sam', expiresAt: minutesAgo(-minutes) })
const rotation = (state: 'waiting' | 'claimed' | 'doubt' | 'confirmed', hostId = here) => ({
  stagedVersion: null,
  id: 'r1' as RotationId,
  jobs: [{ hostId, state }],
})

const free: CheckoutState = {
  active: true,
  allowConcurrentCheckout: false,
  maxConcurrentSessions: null,
  draining: false,
  afterUseGraceMinutes: null,
  leases: [],
  hosts: [
    { hostId: here, knownVersion: 3 },
    { hostId: there, knownVersion: 3 },
  ],
  currentVersion: 3,
  openRotation: null,
  owedSince: null,
}
const shared = { ...free, allowConcurrentCheckout: true, maxConcurrentSessions: 2 }

const refusal = (state: Partial<CheckoutState>, hostId: HostId | null = null, base = free) => checkoutRefusal({ ...base, ...state }, hostId, now)

describe('a checkout is refused', () => {
  test.each<[string, Partial<CheckoutState>, HostId | null, string]>([
    ['when the identity is disabled', { active: false }, null, 'identity-disabled'],
    ['for a host that is not of the identity', {}, 'elsewhere' as HostId, 'validation-failed'],
    ['while somebody holds it', { leases: [lease(0, 10)] }, null, 'identity-checked-out'],
    ['while its password is being changed on the host', { openRotation: rotation('claimed') }, here, 'identity-rotating'],
    ['while nobody knows its password on the host', { openRotation: rotation('doubt') }, here, 'identity-rotating'],
    ['for no host in particular while one host is being changed', { openRotation: rotation('claimed', there) }, null, 'identity-rotating'],
    ['while it drains', { draining: true }, null, 'identity-draining'],
    ['while a rotation is owed', { owedSince: minutesAgo(1) }, null, 'identity-awaiting-rotation'],
    ['inside the grace of an owed rotation', { owedSince: minutesAgo(29), afterUseGraceMinutes: 30 }, null, 'identity-awaiting-rotation'],
    [
      'for no host in particular when the hosts differ',
      {
        hosts: [
          { hostId: here, knownVersion: 3 },
          { hostId: there, knownVersion: 4 },
        ],
      },
      null,
      'host-required',
    ],
  ])('%s', (_when, state, hostId, code) => expect(refusal(state, hostId)?.code).toBe(code))

  test('with the holder and the first end, when every slot is taken', () => {
    expect(refusal({ leases: [lease(0, 30), lease(1, 10)] }, null, shared)).toEqual({
      code: 'max-concurrent-sessions',
      facts: { holder: 'Sam', until: minutesAgo(-10).toISOString() },
    })
  })
})

describe('a checkout is not refused', () => {
  test.each<[string, Partial<CheckoutState>, HostId | null]>([
    ['when the identity is free', {}, null],
    ['for another host than the one that is being changed', { openRotation: rotation('claimed', there) }, here],
    ['while a rotation only waits', { openRotation: rotation('waiting') }, null],
    ['after the grace of an owed rotation', { owedSince: minutesAgo(30), afterUseGraceMinutes: 30 }, null],
  ])('%s', (_when, state, hostId) => expect(refusal(state, hostId)).toBeUndefined())

  test('while a slot is free', () => expect(refusal({ leases: [lease(0, 10)] }, null, shared)).toBeUndefined())
})

describe('the version of a checkout', () => {
  const hosts = [
    { hostId: here, knownVersion: 3 },
    { hostId: there, knownVersion: 4 },
  ]
  test('is the one that the named host has', () => expect(versionFor({ hosts, currentVersion: 3 }, there)).toBe(4))
  test('is open when hosts differ and none is named', () => expect(versionFor({ hosts, currentVersion: 3 }, null)).toBeUndefined())
  test('is the stored one without hosts', () => expect(versionFor({ hosts: [], currentVersion: 7 }, null)).toBe(7))
})
