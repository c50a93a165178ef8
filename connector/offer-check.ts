import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { Offer, offerType, type OfferRefusal } from '#schemas/connector-message.ts'

export type OfferVerdict = { readonly offer: Offer } | { readonly refused: OfferRefusal }

export interface OfferRules {
  /** Public keys of the control plane, from the join. */
  readonly keys: JSONWebKeySet
  readonly connectorId: string
  /** The control plane's clock, ms since 1970. */
  readonly now: () => number
}

/** Longest life of an offer that is believed, s. */
const longestLife = 60
/** Disagreement of clocks that is forgiven, s. */
const tolerance = 5

/**
 * Checks where an offer comes from and whom and when it is for: signature (RFC 7515, EdDSA only, RFC 8037), type, recipient,
 * time. Whether its epoch is still of use is the journal's to say.
 */
export function createOfferCheck({ keys, connectorId, now }: OfferRules): (jws: string) => Promise<OfferVerdict> {
  const keySet = createLocalJWKSet(keys)
  return async (jws) => {
    let payload: Uint8Array
    try {
      const verified = await compactVerify(jws, keySet, { algorithms: ['EdDSA'] })
      if (verified.protectedHeader.typ !== offerType) return { refused: 'signature' }
      payload = verified.payload
    } catch {
      return { refused: 'signature' }
    }
    const parsed = Offer.safeParse(parseJson(payload))
    if (!parsed.success) return { refused: 'malformed' }
    const offer = parsed.data
    if (offer.connectorId !== connectorId) return { refused: 'foreign' }
    const seconds = now() / 1000
    if (offer.exp <= seconds - tolerance || offer.iat > seconds + tolerance || offer.exp - offer.iat > longestLife) return { refused: 'expired' }
    return { offer }
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}
