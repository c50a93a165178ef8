import type { HostId } from '../ids.ts'
import type { CheckoutState } from './checkout.ts'
import { minute } from './lease.ts'

/** Limits of break-glass (S2 "Break-glass emergency access"). Pure; `now` is an argument. */

/** Successful uses of one person, and in one organization, in any sliding minute. */
export const usesPerMinute = 3
export const useWindow = minute

/** Wrong passphrases of one person before nobody looks at another one, in any sliding 15 minutes. */
export const mostRefusals = 5
export const refusalWindow = 15 * minute
/** After so many wrong ones the admins are told. */
export const alertAfterRefusals = 3
/** A try whose verdict nobody wrote down counts as a wrong one for so long: whoever made it never heard how it went. */
export const undecidedWindow = minute

/** A security key must sign within so long; a person has so many challenges that wait for it. */
export const challengeLife = 5 * minute
export const mostChallenges = 10

/**
 * How long until one more fits into a sliding window, ms; undefined: it fits now.
 *
 * @param past when the others were, in any order
 * @param limit how many any window may hold
 */
export function untilAllowed(past: readonly Date[], now: Date, window: number, limit: number): number | undefined {
  const inside = past.map((time) => time.getTime()).filter((time) => time > now.getTime() - window)
  if (inside.length < limit) return undefined
  const leaves = inside.sort((one, other) => other - one)[limit - 1] as number
  return leaves + window - now.getTime()
}

/** A version of the credential that may be the one that logs in, and where. */
export interface PossibleVersion {
  readonly version: number
  /** `staged`: a rotation is setting it, or nobody knows whether it did. */
  readonly label: 'current' | 'staged'
  /** Hosts of the identity where it may log in. */
  readonly hostIds: readonly HostId[]
}

/**
 * Every version that may log in now, the likeliest first: an emergency is never told to wait for a rotation, nor for a host that
 * holds another password.
 *
 * @param hostId null: no host in particular
 */
export function possibleVersions(
  { hosts, currentVersion, openRotation }: Pick<CheckoutState, 'hosts' | 'currentVersion' | 'openRotation'>,
  hostId: HostId | null,
): readonly [PossibleVersion, ...PossibleVersion[]] {
  const asked = hosts.filter((host) => hostId === null || host.hostId === hostId)
  const known = [...Map.groupBy(asked, (host) => host.knownVersion)]
    .map(([version, those]): PossibleVersion => ({ version, label: 'current', hostIds: those.map((host) => host.hostId) }))
    .sort((one, other) => other.hostIds.length - one.hostIds.length || other.version - one.version)
  const [first = { version: currentVersion, label: 'current', hostIds: [] } as const, ...others] = known
  const staged = openRotation?.stagedVersion ?? null
  if (openRotation === null || staged === null) return [first, ...others]
  const changing = openRotation.jobs.filter(({ state }) => state === 'claimed' || state === 'doubt').map((job) => job.hostId)
  const unsure = asked.map((host) => host.hostId).filter((id) => changing.includes(id))
  // Where no connector sets it, a person may have done so already.
  if (unsure.length === 0 && hosts.length > 0) return [first, ...others]
  return [first, ...others, { version: staged, label: 'staged', hostIds: unsure }]
}

/** Where an emergency use goes: a free slot like anybody's, else the lowest one beyond the maximum. */
export function breakGlassSlot(taken: readonly number[], maximum: number): { readonly slot: number; readonly beyondLimit: boolean } {
  const used = new Set(taken)
  let slot = 0
  while (used.has(slot)) slot += 1
  return { slot, beyondLimit: slot >= maximum }
}

const hour = 60 * minute
/** A use that nobody has reviewed is brought back to mind every day. */
export const remindEvery = 24 * hour
/** From the third reminder on it is urgent. */
export const reminderSeverity = (reminders: number): 'warning' | 'critical' => (reminders < 2 ? 'warning' : 'critical')
