import { strictRequest } from './bao-request.ts'

/**
 * How OpenBao keeps its root key: `shamir`, the name of a key management service, or `static`, where the key lies in a file
 * beside the data that it protects. A sealed server answers too, and nobody has to be logged in.
 *
 * @param url base URL of OpenBao
 * @throws LeaseholdError `dependency-unavailable` (role openbao)
 */
export async function sealType(url: string, fetch: typeof globalThis.fetch): Promise<string> {
  const { body } = await strictRequest(fetch)({ method: 'GET', uri: new URL('/v1/sys/seal-status', url).href })
  const type = (body as { type?: unknown } | undefined)?.type
  return typeof type === 'string' ? type : 'unknown'
}
