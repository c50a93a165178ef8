import * as oauth from 'oauth4webapi'
import { transport } from './log-in.ts'

export interface BoundToken {
  readonly accessToken: string
  readonly dpopKey: oauth.CryptoKeyPair
}

export interface ApiRequest {
  readonly method: string
  readonly url: URL
  readonly headers?: Headers | undefined
  readonly body?: string | undefined
}

/**
 * Sends a request with a token and a proof of its key (RFC 9449), a second time when the API wants its nonce in the proof.
 *
 * @returns the answer, refusals included
 */
export async function boundRequest({ accessToken, dpopKey }: BoundToken, { method, url, headers, body }: ApiRequest): Promise<Response> {
  const options = { ...transport(url.href), DPoP: oauth.DPoP({}, dpopKey) }
  const send = () => oauth.protectedResourceRequest(accessToken, method, url, headers, body ?? null, options)
  return send()
    .catch((error: unknown) => {
      if (oauth.isDPoPNonceError(error)) return send()
      throw error
    })
    .catch((error: unknown) => {
      if (error instanceof oauth.WWWAuthenticateChallengeError) return error.response
      throw error
    })
}
