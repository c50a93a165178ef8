import { sql, type RawBuilder } from 'kysely'
import type { SealedText } from '#schemas/reencryption-facts.ts'

/** Where a text lies, for statements over all of one kind. */
export interface TextPlace {
  readonly table: RawBuilder<unknown>
  /** What to select from: the text's row is `t`. */
  readonly from: RawBuilder<unknown>
  /** Alias of the row that says which organization, vault and identity it belongs to. */
  readonly subject: RawBuilder<unknown>
  readonly ciphertext: RawBuilder<unknown>
  readonly keyId: RawBuilder<unknown>
}

const ownRow = (table: string) => ({ from: sql`${sql.id(table)} t`, subject: sql`t` })
const ofLease = { from: sql`break_glass_review t join lease o on o.id = t.id`, subject: sql`o` }
const places: Readonly<Record<SealedText, Pick<TextPlace, 'from' | 'subject'>>> = {
  'lease.reason': ownRow('lease'),
  'access_request.reason': ownRow('access_request'),
  'access_decision.comment': { from: sql`access_decision t join access_request o on o.id = t.request_id`, subject: sql`o` },
  'break_glass_review.justification': ofLease,
  'break_glass_review.finding': ofLease,
}

export function placeOf(text: SealedText): TextPlace {
  const [table = '', column = ''] = text.split('.')
  return { ...places[text], table: sql.id(table), ciphertext: sql.id(`${column}_ciphertext`), keyId: sql.id(`${column}_key_id`) }
}
