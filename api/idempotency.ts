import { createHmac, type KeyObject } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'

/** What makes two requests the same one: who, which key, which route, which content. */
export interface Idempotency {
  readonly userId: UserId
  readonly key: string
  /** Method and path template. */
  readonly route: string
  /** Keyed hash over parameters and body, 32 bytes, independent of the order of fields. Bodies hold credentials: a plain hash could be guessed at. */
  readonly requestHash: Buffer
}

/** @throws LeaseholdError `idempotency-key-required` when the header is absent or not 1-255 visible ASCII characters */
export function idempotencyKeyOf(headers: Headers): string {
  const key = headers.get('idempotency-key') ?? ''
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) throw new LeaseholdError('idempotency-key-required')
  return key
}

/** @param key the same in every process of the installation */
export function requestHashOf(key: KeyObject, route: string, params: unknown, body: unknown): Buffer {
  return createHmac('sha256', key)
    .update(canonical([route, params, body]))
    .digest()
}

/** JSON with sorted fields. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value === null || typeof value !== 'object' || value instanceof Date) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
  return `{${entries.map(([name, item]) => `${JSON.stringify(name)}:${canonical(item)}`).join(',')}}`
}
