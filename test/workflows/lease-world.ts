import { randomUUID } from 'node:crypto'
import type { LeaseActivities } from '#activities/lease.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { LeaseEndCause, RotationState } from '#schemas/states.ts'
import type { Subject } from '#workflows/messages.ts'
import { leaseFacts, minute } from './facts.ts'
import { createClock, type Clock } from './lab.ts'

/** Leases in memory, with the rules of the deciding transactions that their workflow depends on. */
export interface LeaseWorld extends LeaseActivities {
  readonly clock: Clock
  /** Grants a lease of `minutes`. */
  readonly grant: (minutes: number, fields?: Partial<LeaseFacts>) => Subject
  readonly extend: (subject: Subject, minutes: number) => void
  /** @param rotation the state of the rotation that the end owes; null: none */
  readonly end: (subject: Subject, cause: LeaseEndCause, rotation?: RotationState | null) => void
  readonly settle: (subject: Subject, state: RotationState) => void
  /** The lease as it is now. */
  readonly read: (subject: Subject) => LeaseFacts
  /** The next `times` looks fail as if PostgreSQL were down. */
  readonly fail: (times: number) => void
  readonly looks: (subject: Subject) => number
}

export function createLeaseWorld(): LeaseWorld {
  const clock = createClock()
  const leases = new Map<string, LeaseFacts & { readonly rotates: boolean }>()
  const looks = new Map<string, number>()
  let failures = 0
  const iso = (ms: number) => new Date(ms).toISOString()
  const get = ({ subjectId }: Subject) => {
    const lease = leases.get(subjectId)
    if (lease === undefined) throw new LeaseholdError('not-found')
    return lease
  }
  const change = (subject: Subject, fields: Partial<LeaseFacts>) => void leases.set(subject.subjectId, { ...get(subject), ...fields })
  const rotationOf = (state: RotationState) => ({ id: randomUUID(), state }) as NonNullable<LeaseFacts['rotation']>

  const world: LeaseWorld = {
    clock,
    grant: (minutes, fields = {}) => {
      const startedAt = iso(clock.now())
      const expiresAt = iso(clock.now() + minutes * minute)
      const lease = leaseFacts({ requestedMinutes: minutes, startedAt, expiresAt, terms: [{ version: 1, expiresAt, setAt: startedAt }], ...fields })
      leases.set(lease.leaseId, { ...lease, rotates: fields.rotationOwed ?? false, rotationOwed: false })
      return { accountId: randomUUID(), subjectId: lease.leaseId }
    },
    extend: (subject, minutes) => {
      const { version, expiresAt: before, terms } = get(subject)
      const expiresAt = iso(Date.parse(before) + minutes * minute)
      change(subject, { version: version + 1, expiresAt, terms: [...terms, { version: version + 1, expiresAt, setAt: iso(clock.now()) }] })
    },
    end: (subject, endCause, rotation = null) =>
      change(subject, {
        state: 'ended',
        endedAt: iso(clock.now()),
        endCause,
        rotation: rotation === null ? null : rotationOf(rotation),
        rotationOwed: rotation === 'pending',
      }),
    settle: (subject, state) => change(subject, { rotation: { ...(get(subject).rotation ?? rotationOf(state)), state }, rotationOwed: state === 'failed' }),
    read: (subject) => ({
      ...get(subject),
      remainingMs: get(subject).state === 'active' ? Math.max(0, Math.ceil(Date.parse(get(subject).expiresAt) - clock.now())) : 0,
    }),
    fail: (times) => {
      failures = times
    },
    looks: ({ subjectId }) => looks.get(subjectId) ?? 0,
    lookAtLease: async (subject) => {
      looks.set(subject.subjectId, world.looks(subject) + 1)
      if (failures > 0) {
        failures -= 1
        throw new LeaseholdError('dependency-unavailable', { role: 'postgres' })
      }
      return world.read(subject)
    },
    endExpiredLease: async (subject, version) => {
      const lease = world.read(subject)
      if (lease.state === 'active' && lease.remainingMs === 0 && lease.version === version)
        world.end(subject, 'expired', get(subject).rotates ? 'pending' : null)
    },
  }
  return world
}
