import { createHmac, timingSafeEqual } from 'node:crypto'

/** Time-based one-time codes (RFC 6238): HMAC-SHA-1, steps of 30 s, 6 digits, as every authenticator makes them. */

const stepMs = 30_000
/** Codes of the step before and after count too: clocks and people are a little off. */
const tolerance = [0, -1, 1]

export const seedLength = 20

/** @param at ms since 1970 */
export function codeOf(seed: Uint8Array, at: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(stepOf(at)))
  const mac = createHmac('sha1', seed).update(counter).digest()
  const offset = mac.readUInt8(mac.length - 1) & 15
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

/** The time step that the code is of, around now; undefined: of none. */
export function matchingStep(seed: Uint8Array, code: string, now: number): number | undefined {
  const given = Buffer.from(code.padEnd(6).slice(0, 6))
  const shift = tolerance.find((steps) => timingSafeEqual(Buffer.from(codeOf(seed, now + steps * stepMs)), given))
  return shift === undefined ? undefined : stepOf(now) + shift
}

const stepOf = (at: number): number => Math.floor(at / stepMs)

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** RFC 4648 section 6, as authenticators take a seed that is typed. */
export function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{1,5}/g) ?? []).map((five) => alphabet[Number.parseInt(five.padEnd(5, '0'), 2)]).join('')
}
