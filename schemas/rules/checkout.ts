import type { ErrorCode, ErrorFacts } from '../errors.ts'
import type { HostId, RotationId, UserId } from '../ids.ts'
import type { JobState } from '../states.ts'

/** What the decision about a checkout rests on, as read under the lock of the identity. */
export interface CheckoutState {
  readonly active: boolean
  readonly allowConcurrentCheckout: boolean
  readonly maxConcurrentSessions: number | null
  readonly draining: boolean
  readonly afterUseGraceMinutes: number | null
  readonly leases: readonly { readonly slot: number; readonly userId: UserId; readonly holder: string | null; readonly expiresAt: Date }[]
  readonly hosts: readonly { readonly hostId: HostId; readonly knownVersion: number }[]
  readonly currentVersion: number
  readonly openRotation: {
    readonly id: RotationId
    readonly stagedVersion: number | null
    readonly jobs: readonly { readonly hostId: HostId; readonly state: JobState }[]
  } | null
  /** Since when a version that must die is still the one that logs in; null: none. */
  readonly owedSince: Date | null
}

export interface Refusal {
  readonly code: ErrorCode
  readonly facts: ErrorFacts
}

/** The version that a checkout for `hostId` (null: no host in particular) answers; undefined when the hosts differ. */
export function versionFor(state: Pick<CheckoutState, 'hosts' | 'currentVersion'>, hostId: HostId | null): number | undefined {
  if (hostId !== null) return state.hosts.find((host) => host.hostId === hostId)?.knownVersion
  const versions = new Set(state.hosts.map((host) => host.knownVersion))
  if (versions.size === 0) return state.currentVersion
  return versions.size === 1 ? [...versions][0] : undefined
}

/** Why a checkout is refused that waits for an approval first: what will not pass meanwhile. */
export function lastingRefusal(state: Pick<CheckoutState, 'active' | 'hosts'>, hostId: HostId | null): Refusal | undefined {
  if (!state.active) return { code: 'identity-disabled', facts: {} }
  if (hostId === null || state.hosts.some((host) => host.hostId === hostId)) return undefined
  return { code: 'validation-failed', facts: { errors: [{ path: 'hostId', message: 'must be a host of this identity' }] } }
}

/** Why a standard checkout is refused now (S2 "Checking out credentials"); undefined: it is not. Order: what lasts longest first. */
export function checkoutRefusal(state: CheckoutState, hostId: HostId | null, now: Date): Refusal | undefined {
  return (
    lastingRefusal(state, hostId) ??
    takenRefusal(state) ??
    rotationRefusal(state, hostId, now) ??
    (versionFor(state, hostId) === undefined ? { code: 'host-required', facts: { hostIds: state.hosts.map((host) => host.hostId) } } : undefined)
  )
}

function takenRefusal({ allowConcurrentCheckout, maxConcurrentSessions, leases }: CheckoutState): Refusal | undefined {
  const maximum = maxConcurrentSessions ?? 1
  if (leases.length < maximum) return undefined
  const next = leases.reduce((first, lease) => (lease.expiresAt < first.expiresAt ? lease : first))
  const facts = { ...(next.holder === null ? {} : { holder: next.holder }), until: next.expiresAt.toISOString() }
  return { code: allowConcurrentCheckout ? 'max-concurrent-sessions' : 'identity-checked-out', facts }
}

function rotationRefusal(state: CheckoutState, hostId: HostId | null, now: Date): Refusal | undefined {
  const rotationId = state.openRotation?.id
  const named = rotationId === undefined ? {} : { rotationId }
  const changing = state.openRotation?.jobs.some((job) => (job.state === 'claimed' || job.state === 'doubt') && (hostId === null || job.hostId === hostId))
  if (changing === true) return { code: 'identity-rotating', facts: { ...named, retryAfterSeconds: 5 } }
  if (state.draining) return { code: 'identity-draining', facts: { ...named, retryAfterSeconds: 30 } }
  if (state.owedSince === null) return undefined
  const graceEnds = state.afterUseGraceMinutes === null ? undefined : state.owedSince.getTime() + state.afterUseGraceMinutes * 60_000
  if (graceEnds !== undefined && graceEnds <= now.getTime()) return undefined
  const hostIds = state.hosts.filter((host) => host.knownVersion <= state.currentVersion).map((host) => host.hostId)
  return { code: 'identity-awaiting-rotation', facts: { ...named, hostIds, since: state.owedSince.toISOString(), retryAfterSeconds: 5 } }
}
