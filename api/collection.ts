import { LeaseholdError } from '#schemas/errors.ts'
import { pageRequest, type Page, type PageQuery, type PageRequest } from '#schemas/page.ts'

/** @throws LeaseholdError `validation-failed` for a cursor that is none of ours */
export function pageFrom(query: PageQuery): PageRequest {
  const page = pageRequest(query)
  if (page === undefined) throw new LeaseholdError('validation-failed', { errors: [{ path: 'cursor', message: 'must be a nextCursor' }] })
  return page
}

export const mapPage = <Item, Shown>({ items, nextCursor }: Page<Item>, show: (item: Item) => Shown): Page<Shown> => ({
  items: items.map(show),
  ...(nextCursor === undefined ? {} : { nextCursor }),
})
