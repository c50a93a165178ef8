import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { parse as uuidBytes, stringify as uuidText } from 'uuid'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId } from '#schemas/ids.ts'
import { canonical } from './idempotency.ts'
import type { Reply } from './route.ts'

interface Input {
  readonly params: unknown
  readonly query: unknown
}

/** Cursors of one collection: what callers get is sealed for the account, the path and the filter that it was made for. */
export interface Cursors {
  /** The input with the id that its cursor stands for. @throws LeaseholdError `validation-failed` for a cursor of anything else */
  open<I extends Input>(input: I): I
  /** The answer with its `nextCursor` sealed. */
  seal<A>(input: Input, answer: A): A
}

const idBytes = 16
const sealBytes = 16

/** @param key the same in every process of the installation */
export function createCursors(key: KeyObject): (accountId: AccountId, path: string) => Cursors {
  return (accountId, path) => {
    const sealOf = ({ params, query }: Input, id: Uint8Array): Buffer => {
      // Pages of one walk may differ in size.
      const { limit: _limit, cursor: _cursor, ...filter } = query as { limit?: unknown; cursor?: unknown }
      return createHmac('sha256', key)
        .update(canonical([accountId, path, params, filter]))
        .update(id)
        .digest()
        .subarray(0, sealBytes)
    }
    return {
      open(input) {
        const { cursor } = input.query as { readonly cursor?: string }
        if (cursor === undefined) return input
        const bytes = Buffer.from(cursor, 'base64url')
        const id = bytes.subarray(0, idBytes)
        const ours =
          bytes.length === idBytes + sealBytes && bytes.toString('base64url') === cursor && timingSafeEqual(bytes.subarray(idBytes), sealOf(input, id))
        if (!ours) throw new LeaseholdError('validation-failed', { errors: [{ path: 'cursor', message: 'must be the nextCursor of the page before' }] })
        return { ...input, query: { ...(input.query as object), cursor: uuidText(id) } }
      },
      seal(input, answer) {
        const { body } = answer as unknown as Reply
        const { nextCursor } = (body ?? {}) as { readonly nextCursor?: string }
        if (answer instanceof Response || nextCursor === undefined) return answer
        const id = uuidBytes(nextCursor)
        return { ...answer, body: { ...(body as object), nextCursor: Buffer.concat([id, sealOf(input, id)]).toString('base64url') } }
      },
    }
  }
}
