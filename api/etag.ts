import { LeaseholdError } from '#schemas/errors.ts'

/** Header with the version of an item (RFC 9110 8.8.3). */
export const etag = (item: { readonly version: number }): { etag: string } => ({ etag: `"${item.version}"` })

/** One entity tag or `*`: a change is meant for one version, so a list of them is not taken. */
export const ifMatchPattern = String.raw`^(\*|(W/)?"[\x21\x23-\x7e]*")$`

/**
 * The version that a change is meant for (If-Match, RFC 9110 13.1.1); undefined: any.
 *
 * @throws LeaseholdError `invalid-request`, `precondition-failed` for a tag that no item of ours can have (weak ones never match)
 */
export function ifMatch(request: Request): number | undefined {
  const header = request.headers.get('if-match')
  if (header === null) return undefined
  if (!new RegExp(ifMatchPattern).test(header)) throw new LeaseholdError('invalid-request', { detail: 'If-Match must be one entity tag or *' })
  if (header === '*') return undefined
  const version = /^"(\d{1,9})"$/.exec(header)?.[1]
  if (version === undefined) throw new LeaseholdError('precondition-failed')
  return Number(version)
}
