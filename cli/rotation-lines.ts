import type { Rotation } from '#schemas/rotation.ts'

type Wait = Rotation['waitsFor'][number]
type Host = Rotation['hosts'][number]

/** How a rotation is shown to a person. */
export const lineOfRotation = (rotation: Rotation): string =>
  `${rotation.id}  ${rotation.state.padEnd(9)}  ${rotation.phase.padEnd(8)}  identity ${rotation.identityId}  ${rotation.trigger}  since ${rotation.startedAt}${notes(rotation)}\n`

/** The same with a line for each host, and what it waits for. */
export const describeRotation = (rotation: Rotation): string => [lineOfRotation(rotation), ...linesOf(rotation).map(([, line]) => `  ${line}\n`)].join('')

/** Only what has changed since `before`. */
export function describeChange(before: Rotation | undefined, after: Rotation): string {
  const known = new Map(before === undefined ? [] : linesOf(before))
  const changed = linesOf(after).filter(([key, line]) => known.get(key) !== line)
  const own = before === undefined || `${before.state} ${before.phase}${notes(before)}` !== `${after.state} ${after.phase}${notes(after)}`
  return [...(own ? [`${after.state}  ${after.phase}${notes(after)}\n`] : []), ...changed.map(([, line]) => `  ${line}\n`)].join('')
}

const notes = ({ reason, needsAttention, stuckSince }: Rotation): string =>
  [reason, needsAttention ? 'needs attention' : null, stuckSince === null ? null : `stuck since ${stuckSince}`]
    .map((note) => (note === null ? '' : `  ${note}`))
    .join('')

/** One line for each host, and for a wait that is of no host. */
function linesOf({ hosts, waitsFor }: Rotation): [key: string, line: string][] {
  const general = waitsFor.filter(({ hostId }) => hostId === null || !hosts.some((host) => host.hostId === hostId))
  const lines = hosts.map((host): [string, string] => [
    host.hostId,
    lineOfHost(
      host,
      waitsFor.find(({ hostId }) => hostId === host.hostId),
    ),
  ])
  return [...lines, ...general.map((wait): [string, string] => [wait.hostId ?? '', waitOf(wait)])]
}

const lineOfHost = ({ hostId, state, attempts, reason }: Host, wait: Wait | undefined): string =>
  `host ${hostId}  ${state}${attempts === 0 ? '' : `  ${attempts} attempts`}${reason === null ? '' : `  ${reason}`}${wait === undefined ? '' : `  ${waitOf(wait)}`}`

/** What it waits for, since when and until when. */
export const waitOf = ({ cause, since, until, userId }: Wait): string =>
  `waits for ${cause}${userId === null ? '' : ` of ${userId}`}${since === null ? '' : ` since ${since}`}${until === null ? '' : ` until ${until}`}`
