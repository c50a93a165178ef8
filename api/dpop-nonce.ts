import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'

/** Nonces that tie a proof to the recent past (RFC 9449 section 8), the same in every replica and after every restart. */
export interface Nonces {
  /** For the `DPoP-Nonce` header. */
  readonly current: () => string
  readonly accepts: (nonce: unknown) => boolean
}

/** A nonce is handed out for this time and believed for one more, ms. */
const slot = 60_000

/**
 * No state: a nonce is an HMAC over the number of its minute.
 *
 * @param key the same in every process of the installation
 * @param now ms since 1970
 */
export function createNonces(key: KeyObject, now: () => number = Date.now): Nonces {
  const nonceOf = (number: number): string => createHmac('sha256', key).update(`leasehold/dpop-nonce/${number}`).digest().subarray(0, 18).toString('base64url')
  const slotOf = (): number => Math.floor(now() / slot)
  return {
    current: () => nonceOf(slotOf()),
    accepts: (nonce) => {
      if (typeof nonce !== 'string') return false
      const given = Buffer.from(nonce)
      // The next one too: another replica's clock may be ahead.
      return [-1, 0, 1].map((step) => Buffer.from(nonceOf(slotOf() + step))).some((known) => known.length === given.length && timingSafeEqual(known, given))
    },
  }
}
