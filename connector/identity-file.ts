import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { JoinAnswer } from '#schemas/connector-message.ts'
import { syncDirectory } from './line-file.ts'

/** Everything that this connector is: its private keys, what the control plane told it, and where it may dial. */
const IdentityFile = z.strictObject({
  version: z.literal(1),
  apiUrl: z.url(),
  /** `host:port` entries. */
  allow: z.array(z.string()),
  /** NKey seed of a NATS user. */
  nkeySeed: z.string().regex(/^SU[A-Z2-7]{56}$/),
  /** Private X25519 key that job secrets are sealed to (RFC 8037). */
  encryptionKey: z.strictObject({ kty: z.literal('OKP'), crv: z.literal('X25519'), x: z.string(), d: z.string(), kid: z.string() }),
  /** Null until the join is through. */
  joined: JoinAnswer.nullable(),
})
export type IdentityFile = z.infer<typeof IdentityFile>

const fileOf = (home: string): string => path.join(home, 'connector.json')

/**
 * @returns undefined when there is none yet
 * @throws Error when others may read the file, or it is malformed; never with a value
 */
export function readIdentity(home: string): IdentityFile | undefined {
  const file = fileOf(home)
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats === undefined) return undefined
  if ((stats.mode & 0o077) !== 0) throw new Error('connector.json must be readable by its owner only (0600)')
  const parsed = IdentityFile.safeParse(parseJson(readFileSync(file, 'utf8')))
  if (!parsed.success) throw new Error(`connector.json is malformed at ${parsed.error.issues.map((issue) => issue.path.join('.')).join(', ')}`)
  return parsed.data
}

/** Replaces the file as a whole, durably: a crash leaves the old one or the new one. */
export function writeIdentity(home: string, identity: IdentityFile): void {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  chmodSync(home, 0o700)
  const file = fileOf(home)
  const descriptor = openSync(`${file}.next`, 'w', 0o600)
  writeSync(descriptor, `${JSON.stringify(identity, null, 2)}\n`)
  fsyncSync(descriptor)
  closeSync(descriptor)
  renameSync(`${file}.next`, file)
  syncDirectory(home)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('connector.json is not JSON')
  }
}
