/** Limits and arithmetic of leases (S2 "Checking out credentials"). Pure; `now` is an argument. */

export const minimumMinutes = 5
export const maximumMinutes = 1440
export const minute = 60_000

/**
 * When a new lease ends: the earliest of the asked duration and every cap.
 *
 * @param now start of the lease
 * @param minutes asked duration, 5-1440
 * @param caps ends that the lease must not outlive (grant, approval, support window); null: no cap
 * @param organizationMaximumMinutes longest lease of the organization; null: the manual's 1440
 */
export function expiryOf(now: Date, minutes: number, caps: readonly (Date | null)[], organizationMaximumMinutes: number | null): Date {
  const asked = Math.min(minutes, organizationMaximumMinutes ?? maximumMinutes)
  const ends = caps.filter((cap) => cap !== null).map((cap) => cap.getTime())
  return new Date(Math.min(now.getTime() + asked * minute, ...ends))
}

/**
 * The new end of an extended lease: `minutes` are added to its present end, at most 1440 minutes after its start
 * and never past the caps. Never earlier than the present end.
 */
export function extendedExpiryOf(
  lease: { readonly startedAt: Date; readonly expiresAt: Date },
  minutes: number,
  caps: readonly (Date | null)[],
  organizationMaximumMinutes: number | null,
): Date {
  const latest = expiryOf(lease.startedAt, maximumMinutes, caps, organizationMaximumMinutes)
  const asked = lease.expiresAt.getTime() + minutes * minute
  return new Date(Math.max(lease.expiresAt.getTime(), Math.min(asked, latest.getTime())))
}

/** The lowest slot that nobody holds, or undefined when all `maximum` slots are taken. */
export function lowestFreeSlot(taken: readonly number[], maximum: number): number | undefined {
  const used = new Set(taken)
  for (let slot = 0; slot < maximum; slot += 1) if (!used.has(slot)) return slot
  return undefined
}
