import { LeaseholdError } from '#schemas/errors.ts'

/** OpenBao answered, and it was not a success. Holds the status only: its messages may repeat what was sent. */
export class OpenBaoRefusal extends Error {
  readonly status: number

  constructor(status: number) {
    super(`OpenBao answered ${status}`)
    this.name = 'OpenBaoRefusal'
    this.status = status
  }
}

/** What node-vault hands to its `request-promise` hook. */
interface HookOptions {
  readonly method: string
  readonly uri: string
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: unknown
}

interface HookResponse {
  readonly statusCode: number
  readonly body: unknown
  readonly request: { readonly path: string }
}

const timeoutMs = 1_500

type StrictRequest = (options: HookOptions) => Promise<HookResponse>

/**
 * The transport of node-vault instead of its own, which follows redirects with the token, waits for ever and hangs the token and
 * the payload on its errors. One attempt, 1.5 s, no redirect, and an error without any value.
 *
 * @param fetch how OpenBao is reached; it decides whose certificates are believed
 * @returns a request that throws LeaseholdError `dependency-unavailable` when OpenBao does not answer, is sealed, overloaded or redirects
 */
export const strictRequest =
  (fetch: typeof globalThis.fetch): StrictRequest =>
  async ({ method, uri, headers, json }) => {
    const url = new URL(uri)
    // A path that URL parsing changed would reach another secret than the one that was named.
    if (uri.slice(url.origin.length) !== url.pathname) throw new Error('the path of an OpenBao request is not canonical')
    const hasBody = typeof json === 'object' && json !== null
    const response = await fetch(url, {
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      headers: { ...headers, ...(hasBody ? { 'content-type': 'application/json' } : {}) },
      ...(hasBody ? { body: JSON.stringify(json) } : {}),
    }).catch(rethrow)
    const text = await response.text().catch(rethrow)
    if (response.status === 429 || response.status >= 500) throw unavailable()
    if (response.status >= 400) throw new OpenBaoRefusal(response.status)
    return { statusCode: response.status, body: parse(text), request: { path: url.pathname } }
  }

function parse(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    throw unavailable()
  }
}

/** The cause of a failed fetch can hold the request; only its code goes on. */
export function unavailable(error?: unknown): LeaseholdError {
  const { cause, name } = (error ?? {}) as { cause?: { code?: unknown }; name?: unknown }
  const why = typeof cause?.code === 'string' ? cause.code : typeof name === 'string' ? name : 'status'
  return new LeaseholdError('dependency-unavailable', { role: 'openbao', retryAfterSeconds: 2 }, { cause: new Error(`OpenBao: ${why}`) })
}

function rethrow(error: unknown): never {
  throw unavailable(error)
}
