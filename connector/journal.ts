import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import { JobId } from '#schemas/ids.ts'
import { JobResult, journalStates } from '#schemas/connector-message.ts'
import { replaceLines, type LineFile } from './line-file.ts'

/** One step of one job. No secret is ever in it: after a crash the control plane is asked, not the disk. */
export const JournalEntry = z.strictObject({
  jobId: JobId,
  epoch: z.number().int(),
  instance: z.uuid(),
  state: z.enum(journalStates),
  /** With `verified`: the finished result, ready to be sent again. */
  result: JobResult.optional(),
  /** With `reported`: the claim was not granted, so nothing was done. */
  unclaimed: z.literal(true).optional(),
})
export type JournalEntry = z.infer<typeof JournalEntry>

export interface Journal {
  /** Returns when the step is on disk. @throws Error of the file system; then the step is not written down */
  readonly append: (entry: JournalEntry) => void
  /** Last step of every job that has no acknowledged result. */
  readonly open: () => readonly JournalEntry[]
  /** Highest epoch of the job that this connector ever held; 0: none. */
  readonly claimedEpoch: (jobId: string) => number
  readonly close: () => void
}

/** Jobs without open work that are remembered, so that an old offer is known as one. */
const remembered = 2_000
/** Bytes by which the file may grow before it is made short again. */
const mostGrowth = 1_048_576

/**
 * Opens the append-only journal and makes it short, as it does whenever it has grown. A last line that is not whole is dropped: its step never counted, because
 * `append` had not returned.
 *
 * @throws Error when a line other than the last is damaged
 */
export function openJournal(file: string): Journal {
  const latest = new Map<string, JournalEntry>()
  const epochs = new Map<string, number>()
  for (const entry of readEntries(file)) note(entry)
  let lines = shorten()
  let limit = lines.size() + mostGrowth

  function note(entry: JournalEntry): void {
    // Deleted first: insertion order is then the order of the last step.
    latest.delete(entry.jobId)
    latest.set(entry.jobId, entry)
    if (entry.state !== 'received' && entry.unclaimed === undefined) epochs.set(entry.jobId, Math.max(entry.epoch, epochs.get(entry.jobId) ?? 0))
  }

  function openEntries(): JournalEntry[] {
    return [...latest.values()].filter((entry) => entry.state !== 'reported')
  }

  function shorten(): LineFile {
    const closed = [...latest.values()].filter((entry) => entry.state === 'reported')
    for (const { jobId } of closed.slice(0, -remembered)) {
      latest.delete(jobId)
      epochs.delete(jobId)
    }
    return replaceLines(file, [...latest.values()].map(lineOf).join(''))
  }

  /** What was appended is on disk already, so a disk that has no room for the short one may wait. */
  function shortenGrown(): void {
    const long = lines
    try {
      lines = shorten()
      long.close()
    } catch {
      // The long one is still in its place.
    }
    limit = lines.size() + mostGrowth
  }

  return {
    append: (entry) => {
      lines.add(lineOf(JournalEntry.parse(entry)))
      note(entry)
      if (lines.size() > limit) shortenGrown()
    },
    open: openEntries,
    claimedEpoch: (jobId) => epochs.get(jobId) ?? 0,
    close: () => lines.close(),
  }
}

const lineOf = (entry: JournalEntry): string => `${JSON.stringify(entry)}\n`

function readEntries(file: string): JournalEntry[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  // A whole file ends with a newline, so the last piece is empty or was cut off.
  const whole = lines.slice(0, -1)
  return whole.flatMap((line, index) => {
    const written = parse(line)
    // A crash may bring the end of a line to disk and not what is before it. Nothing was written after that.
    if (written === undefined && index === whole.length - 1) return []
    const entry = JournalEntry.safeParse(written)
    if (!entry.success) throw new Error(`line ${index + 1} of the journal ${file} is damaged`)
    return [entry.data]
  })
}

/** @returns undefined: it is not whole */
function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
