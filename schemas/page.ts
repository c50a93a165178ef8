import { z } from 'zod'

/** Query of every collection. The cursor is the opaque `nextCursor` of the page before: good for the same account, path and filter only. */
export const PageQuery = z.strictObject({
  limit: z
    .preprocess((value) => (String(Number(value)) === value ? Number(value) : value), z.number().int().min(1).max(200))
    .default(50)
    .meta({ description: 'Most items of the page' }),
  cursor: z.string().max(200).optional().meta({ description: 'nextCursor of the page before' }),
})
export type PageQuery = z.infer<typeof PageQuery>

export interface PageRequest {
  readonly limit: number
  /** Id of the last item of the page before; null: the first page. */
  readonly after: string | null
}

export interface Page<Item> {
  readonly items: readonly Item[]
  /** Id of the last item when there are more; what callers get of it is sealed (api/cursor.ts). Absent: this was the last page. */
  readonly nextCursor?: string
}

/** Shape of a page of `item`. */
export const pageOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), nextCursor: z.string().optional() })

/** Cuts `rows`, of which the query took one more than the limit, to a page. */
export function toPage<Item extends { readonly id: string }>(rows: readonly Item[], limit: number): Page<Item> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return rows.length > limit && last !== undefined ? { items, nextCursor: last.id } : { items }
}
