/** Prefix bytes of public NKeys, each followed by 32 bytes of Ed25519 public key and a CRC (NATS ADR-14). */
const prefixes = { operator: 14 << 3, account: 0, user: 20 << 3 } as const
export type NkeyKind = keyof typeof prefixes

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/**
 * Text form of a public key as NATS writes it. Ours, because the keys are in OpenBao and the library wants a seed.
 *
 * @param raw Ed25519 public key, 32 bytes
 */
export function encodePublicKey(kind: NkeyKind, raw: Uint8Array): string {
  if (raw.length !== 32) throw new TypeError('an Ed25519 public key has 32 bytes')
  const body = Buffer.concat([Buffer.from([prefixes[kind]]), raw])
  const check = Buffer.alloc(2)
  check.writeUInt16LE(crc16(body))
  return base32(Buffer.concat([body, check]))
}

/** CRC-16/XMODEM: polynomial 0x1021, initial value 0. */
function crc16(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc
}

/** RFC 4648 section 6, without padding. */
function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{1,5}/g) ?? []).map((five) => alphabet[Number.parseInt(five.padEnd(5, '0'), 2)]).join('')
}
