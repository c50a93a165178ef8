/** Begins every key in OpenSSH's own format (PROTOCOL.key). */
export const magic = 'openssh-key-v1\0'

/** A string of RFC 4251 section 5. */
export function withLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
