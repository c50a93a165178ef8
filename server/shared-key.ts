import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

/** Of the key of links that decide on access requests: the worker signs them, the API reads them. */
export const decisionLinkPurpose = 'leasehold/decision-link'

/** The same in every process and after every restart: what one made another one recognises. */
export const sharedKey = (tenantSalt: string, purpose: string): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync('sha256', Buffer.from(tenantSalt, 'base64url'), new Uint8Array(), purpose, 32)))
