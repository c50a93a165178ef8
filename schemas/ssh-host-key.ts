import { text } from './text.ts'

/** One host key that is believed: the whole public key, or its fingerprint alone. */
export type HostKeyPin = { readonly type: HostKeyType; readonly key: string } | { readonly fingerprint: string }

/** Public key formats of RFC 8332, RFC 5656 and RFC 8709. */
export const hostKeyTypes = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'ssh-rsa'] as const
export type HostKeyType = (typeof hostKeyTypes)[number]

/**
 * @param lines one pin a line: a fingerprint as `ssh-keygen -l` prints it (`SHA256:` and base64 without padding), or a line of a
 *   `.pub` file (type, base64, comment)
 * @returns no pin at all when one of the lines is neither
 */
export function parseHostKeys(lines: string): readonly HostKeyPin[] {
  const pins = lines
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map(parsePin)
  return pins.every((pin) => pin !== undefined) ? pins : []
}

function parsePin(line: string): HostKeyPin | undefined {
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(line)) return { fingerprint: line }
  const [name, key = ''] = line.split(/[ \t]+/)
  const type = hostKeyTypes.find((known) => known === name)
  return type !== undefined && typeIn(key) === type ? { type, key } : undefined
}

/** The key says its own type once more (RFC 4253 6.6); a line that was cut or pasted together does not. */
function typeIn(key: string): string | undefined {
  const bytes = Buffer.from(key, 'base64')
  if (bytes.length < 36 || bytes.toString('base64') !== key) return undefined
  return bytes.subarray(4, 4 + bytes.readUInt32BE(0)).toString('latin1')
}

export const HostKeys = text(1, 20_000)
  .refine((lines) => parseHostKeys(lines).length > 0, { error: 'must be OpenSSH fingerprints (SHA256:...) or public key lines, one a line' })
  .meta({ description: 'Host keys that are believed, one a line: OpenSSH fingerprints (SHA256:...) or public key lines' })
