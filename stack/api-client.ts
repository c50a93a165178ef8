import { randomUUID } from 'node:crypto'

export interface ApiAnswer<T = Record<string, unknown>> {
  readonly status: number
  readonly headers: Headers
  readonly body: T
}

/** A caller of the API, as a script would be one. */
export interface ApiClient {
  get<T = Record<string, unknown>>(path: string): Promise<ApiAnswer<T>>
  /** @param key Idempotency-Key; absent: a fresh one */
  post<T = Record<string, unknown>>(path: string, body: unknown, key?: string): Promise<ApiAnswer<T>>
  put<T = Record<string, unknown>>(path: string, body: unknown): Promise<ApiAnswer<T>>
  patch<T = Record<string, unknown>>(path: string, body: unknown): Promise<ApiAnswer<T>>
  delete<T = Record<string, unknown>>(path: string): Promise<ApiAnswer<T>>
}

/**
 * @param apiUrl base URL without trailing slash
 * @param token access token
 * @param reach how the API is reached
 */
export function apiClient(apiUrl: string, token: string, reach = fetch): ApiClient {
  async function call<T>(method: string, path: string, body?: unknown, key?: string): Promise<ApiAnswer<T>> {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (method === 'POST') headers['idempotency-key'] = key ?? randomUUID()
    const response = await reach(apiUrl + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as T }
  }
  return {
    get: (path) => call('GET', path),
    post: (path, body, key) => call('POST', path, body, key),
    put: (path, body) => call('PUT', path, body),
    patch: (path, body) => call('PATCH', path, body),
    delete: (path) => call('DELETE', path),
  }
}

/** The body of an answer with the status that was expected. @throws Error with the status and the problem's code and detail */
export function expectStatus<T>(answer: ApiAnswer<T>, ...expected: number[]): T {
  if (expected.includes(answer.status)) return answer.body
  const { code, detail } = answer.body as { code?: string; detail?: string }
  throw new Error(`expected ${expected.join(' or ')}, got ${answer.status} ${code ?? ''} ${detail ?? ''}`.trimEnd())
}
