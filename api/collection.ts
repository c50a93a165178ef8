import { LeaseholdError } from '#schemas/errors.ts'
import { pageRequest, type PageQuery, type PageRequest } from '#schemas/page.ts'

/** @throws LeaseholdError `validation-failed` for a cursor that is none of ours */
export function pageFrom(query: PageQuery): PageRequest {
  const page = pageRequest(query)
  if (page === undefined) throw new LeaseholdError('validation-failed', { errors: [{ path: 'cursor', message: 'must be a nextCursor' }] })
  return page
}
