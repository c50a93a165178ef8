import type { Page, PageQuery, PageRequest } from '#schemas/page.ts'

/** @param query with its cursor opened */
export const pageFrom = ({ limit, cursor }: PageQuery): PageRequest => ({ limit, after: cursor ?? null })

export const mapPage = <Item, Shown>({ items, nextCursor }: Page<Item>, show: (item: Item) => Shown): Page<Shown> => ({
  items: items.map(show),
  ...(nextCursor === undefined ? {} : { nextCursor }),
})
