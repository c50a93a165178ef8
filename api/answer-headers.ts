/** What every answer says to browsers and caches, whoever made it. No answer names the server program. */
export const answerHeaders: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
}

/** Only over TLS (RFC 6797 section 7.2 forbids it on plain connections): a year. */
export const transportHeaders: Readonly<Record<string, string>> = { 'strict-transport-security': 'max-age=31536000' }

/** Puts them on an answer, besides what it has. */
export function addAnswerHeaders(headers: Headers, encrypted: boolean): void {
  for (const [name, value] of Object.entries({ ...answerHeaders, ...(encrypted ? transportHeaders : {}) })) if (!headers.has(name)) headers.set(name, value)
}
