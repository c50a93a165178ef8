import { z } from 'zod'

/** Query of every collection. The cursor is the opaque `nextCursor` of the page before. */
export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50).meta({ description: 'Most items of the page' }),
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
  /** Absent: this was the last page. */
  readonly nextCursor?: string
}

/** Shape of a page of `item`. */
export const pageOf = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), nextCursor: z.string().optional() })

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** @returns undefined when the cursor is none of ours */
export function pageRequest({ limit, cursor }: PageQuery): PageRequest | undefined {
  if (cursor === undefined) return { limit, after: null }
  const after = atobSafe(cursor)
  return uuid.test(after) ? { limit, after } : undefined
}

/** Cuts `rows`, of which the query took one more than the limit, to a page. */
export function toPage<Item extends { readonly id: string }>(rows: readonly Item[], limit: number): Page<Item> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return rows.length > limit && last !== undefined ? { items, nextCursor: btoa(last.id).replaceAll('=', '') } : { items }
}

function atobSafe(value: string): string {
  try {
    return atob(value)
  } catch {
    return ''
  }
}
