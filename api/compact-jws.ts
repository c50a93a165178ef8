const shape = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

/**
 * Whether a text is a compact JWS in its one canonical spelling (RFC 7515 section 2: base64url without padding). Decoders forgive
 * padding, line breaks and other last characters; what is forgiven is another text for the same token.
 *
 * @param longest characters
 */
export function isCanonicalJws(text: string, longest: number): boolean {
  if (text.length > longest) return false
  const parts = shape.exec(text)?.slice(1) ?? []
  return parts.length === 3 && parts.every((part) => Buffer.from(part, 'base64url').toString('base64url') === part)
}
