import { createHmac } from 'node:crypto'
import { isHeaderLine, isPathPiece, type Call, type Gap } from '#schemas/http-calls.ts'
import type { Login } from './adapters/adapter.ts'

/** A request as it goes over the wire. */
export interface HttpRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Filling {
  readonly username: string
  /** The value to be set, proven or taken away. */
  readonly value: string
  /** Who asks; absent: the account itself, by the value. */
  readonly as?: Login
}

/** Thrown inside `fill` only: a gap that cannot be filled literally. */
class UnfitError extends Error {}

/**
 * Fills the gaps of a call. What is put in stays one piece: escaped in a path (RFC 3986) and a form, a JSON string in JSON; where
 * that cannot be, nothing is made of it.
 *
 * @returns undefined: the name or value would not arrive as it is
 */
export function fill(call: Call, { username, value, as = { username, password: value } }: Filling): HttpRequest | undefined {
  if (!isOneLine(username) || !isOneLine(as.username)) return undefined
  const fillings: Readonly<Record<Gap, () => string>> = {
    username: () => username,
    value: () => value,
    keyId: () => keyIdOf(value),
    basic: () => basicOf(username, value),
    'as.username': () => as.username,
    'as.value': () => as.password,
    'as.basic': () => basicOf(as.username, as.password),
  }
  const filled = (template: string, escape: (value: string) => string = (text) => text): string =>
    template.replaceAll(/\{([^{}]*)\}/g, (_, gap: Gap) => escape(fillings[gap]()))
  try {
    const path = filled(call.path, pathPiece)
    const headers = Object.entries(call.headers ?? {}).map(([name, template]) => [name, headerLine(filled(template))] as const)
    const [type, body] = bodyOf(call, filled)
    return { method: call.method, path, headers: { ...Object.fromEntries(headers), ...(type === undefined ? {} : { 'content-type': type }) }, body }
  } catch (error) {
    if (error instanceof UnfitError) return undefined
    throw error
  }
}

function bodyOf({ json, form }: Call, filled: (template: string) => string): [type: string | undefined, body: string] {
  if (json !== undefined) return ['application/json', JSON.stringify(json, (_, value: unknown) => (typeof value === 'string' ? filled(value) : value))]
  if (form === undefined) return [undefined, '']
  return ['application/x-www-form-urlencoded', new URLSearchParams(Object.entries(form).map(([name, template]) => [name, filled(template)])).toString()]
}

const isOneLine = (username: string): boolean => username.isWellFormed() && /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u.test(username)

function pathPiece(piece: string): string {
  if (!isPathPiece(piece)) throw new UnfitError()
  return encodeURIComponent(piece).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

function headerLine(line: string): string {
  if (!isHeaderLine(line)) throw new UnfitError()
  return line
}

/** RFC 7617; a colon would end the name. */
function basicOf(username: string, password: string): string {
  if (username.includes(':')) throw new UnfitError()
  return Buffer.from(`${username}:${password}`).toString('base64')
}

/** A name for a key that follows from the key and tells nothing of a generated one: what was registered under it is taken away by it. */
export const keyIdOf = (value: string): string => createHmac('sha256', value).update('leasehold/key-id/v1').digest('hex').slice(0, 32)
