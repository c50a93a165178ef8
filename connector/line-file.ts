import { closeSync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'

/** A file of whole lines that only grows. */
export interface LineFile {
  /**
   * Returns when the lines are on disk.
   *
   * @param lines each with its newline
   * @throws Error of the file system (no space, for one); then none of them is there
   */
  readonly add: (lines: string) => void
  /** Bytes of all lines. */
  readonly size: () => number
  readonly close: () => void
}

/** Replaces the file by one with these lines, at once. @throws Error of the file system; then the old one is there, or the new one */
export function replaceLines(file: string, lines: string): LineFile {
  const next = `${file}.next`
  rmSync(next, { force: true })
  const opened = openLines(next)
  try {
    opened.add(lines)
    renameSync(next, file)
    syncDirectory(path.dirname(file))
    return opened
  } catch (error) {
    opened.close()
    throw error
  }
}

/** @param file a new one */
function openLines(file: string): LineFile {
  const descriptor = openSync(file, 'a', 0o600)
  let size = 0
  let isWhole = true

  /** Half a line must not stay: the next one would be glued to it. */
  const cutBack = (): void => {
    ftruncateSync(descriptor, size)
    isWhole = true
  }

  return {
    add: (lines) => {
      if (!isWhole) cutBack()
      const bytes = Buffer.from(lines)
      isWhole = false
      try {
        // A disk that gets full takes a part and says so only by the number.
        for (let written = 0; written < bytes.length;) written += writeSync(descriptor, bytes, written)
        fsyncSync(descriptor)
      } catch (error) {
        cutBack()
        throw error
      }
      isWhole = true
      size += bytes.length
    },
    size: () => size,
    close: () => closeSync(descriptor),
  }
}

/** Makes a rename durable. */
export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}
