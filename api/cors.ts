/** Scripts of other origins (Fetch standard, "CORS protocol"): only those of the list may ask and read. Cookies are never part of it. */

const requestHeaders = 'authorization, content-type, dpop, idempotency-key, if-match, traceparent, x-correlation-id'
const readableHeaders = 'allow, dpop-nonce, etag, idempotent-replayed, location, retry-after, www-authenticate, x-correlation-id'
const preflightSeconds = '600'

/** Whether the request may be answered to the script that sent it. */
const isAllowed = (request: Request, origins: readonly string[]): boolean => origins.includes(request.headers.get('origin') ?? '')

/** Whether the browser asks before it sends what the script wants, for a script that may. */
export const isPreflight = (request: Request, origins: readonly string[]): boolean =>
  request.method === 'OPTIONS' && request.headers.has('access-control-request-method') && isAllowed(request, origins)

/** @param methods of the resource */
export const preflightAnswer = (methods: readonly string[]): Response =>
  new Response(null, {
    status: 204,
    headers: {
      'access-control-allow-methods': methods.join(', '),
      'access-control-allow-headers': requestHeaders,
      'access-control-max-age': preflightSeconds,
    },
  })

/** Lets the script read the answer, when it may. */
export function addCorsHeaders(headers: Headers, request: Request, origins: readonly string[]): void {
  if (origins.length === 0) return
  headers.append('vary', 'origin')
  if (!isAllowed(request, origins)) return
  headers.set('access-control-allow-origin', request.headers.get('origin') ?? '')
  headers.set('access-control-expose-headers', readableHeaders)
}
