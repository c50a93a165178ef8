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

/** Replaces the file by one with these lines, at once. @throws Error of the file system; then the old one is in its place */
export function replaceLines(file: string, first: string): LineFile {
  const next = `${file}.next`
  rmSync(next, { force: true })
  const descriptor = openSync(next, 'a', 0o600)
  let size = 0
  let isWhole = true
  let isPlaced = false

  /** Half a line must not stay: the next one would be glued to it. */
  const cutBack = (): void => {
    ftruncateSync(descriptor, size)
    isWhole = true
  }

  const write = (lines: string): void => {
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
  }

  try {
    write(first)
    renameSync(next, file)
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
  return {
    add: (lines) => {
      // Before that a crash may find the old file, which says the same.
      if (!isPlaced) syncDirectory(path.dirname(file))
      isPlaced = true
      write(lines)
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
