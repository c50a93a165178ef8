import { LeaseholdError } from '#schemas/errors.ts'

/** Header with the version of an item (RFC 9110 8.8.3). */
export const etag = (item: { readonly version: number }): { etag: string } => ({ etag: `"${item.version}"` })

/**
 * The version that a change is meant for (If-Match, RFC 9110 13.1.1); undefined: any.
 *
 * @throws LeaseholdError `precondition-failed` for a tag that no item of ours can have
 */
export function ifMatch(request: Request): number | undefined {
  const header = request.headers.get('if-match')?.trim()
  if (header === undefined || header === '*') return undefined
  const version = /^"(\d{1,9})"$/.exec(header)?.[1]
  if (version === undefined) throw new LeaseholdError('precondition-failed')
  return Number(version)
}
