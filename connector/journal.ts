import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { JobId } from '#schemas/ids.ts'
import { JobResult, journalStates } from '#schemas/connector-message.ts'

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
  /** Returns when the step is on disk. */
  readonly append: (entry: JournalEntry) => void
  /** Last step of every job that has no acknowledged result. */
  readonly open: () => readonly JournalEntry[]
  /** Highest epoch of the job that this connector ever held; 0: none. */
  readonly claimedEpoch: (jobId: string) => number
  readonly close: () => void
}

/** Jobs without open work that are remembered, so that an old offer is known as one. */
const remembered = 2_000

/**
 * Opens the append-only journal and makes it short again. A line that a crash cut off is dropped: its step never counted,
 * because `append` had not returned.
 *
 * @throws Error when a line other than the last is damaged
 */
export function openJournal(file: string): Journal {
  const latest = new Map<string, JournalEntry>()
  const epochs = new Map<string, number>()
  for (const entry of readEntries(file)) note(entry)
  const closed = [...latest.values()].filter((entry) => entry.state === 'reported').slice(-remembered)
  compact(file, [...closed, ...openEntries()])
  const descriptor = openSync(file, 'a', 0o600)

  function note(entry: JournalEntry): void {
    // Deleted first: insertion order is then the order of the last step.
    latest.delete(entry.jobId)
    latest.set(entry.jobId, entry)
    if (entry.state !== 'received' && entry.unclaimed === undefined) epochs.set(entry.jobId, Math.max(entry.epoch, epochs.get(entry.jobId) ?? 0))
  }

  function openEntries(): JournalEntry[] {
    return [...latest.values()].filter((entry) => entry.state !== 'reported')
  }

  return {
    append: (entry) => {
      writeSync(descriptor, `${JSON.stringify(JournalEntry.parse(entry))}\n`)
      fsyncSync(descriptor)
      note(entry)
    },
    open: openEntries,
    claimedEpoch: (jobId) => epochs.get(jobId) ?? 0,
    close: () => closeSync(descriptor),
  }
}

function readEntries(file: string): JournalEntry[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  // A whole file ends with a newline, so the last piece is empty or was cut off.
  return lines.slice(0, -1).map((line) => JournalEntry.parse(JSON.parse(line)))
}

function compact(file: string, entries: readonly JournalEntry[]): void {
  const next = `${file}.next`
  const descriptor = openSync(next, 'w', 0o600)
  writeSync(descriptor, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  fsyncSync(descriptor)
  closeSync(descriptor)
  renameSync(next, file)
  syncDirectory(path.dirname(file))
}

/** Makes a rename durable. */
export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}
