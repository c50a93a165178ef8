import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { Verdict } from '#schemas/access-request.ts'
import { AccessRequestId, AccountId, UserId } from '#schemas/ids.ts'

/**
 * What a link in a notification says: this person's verdict about this version of this request. It is no credential: whoever opens
 * it logs in and must be that person and an approver then. It is used up by the decision that it makes.
 */
export interface DecisionLink {
  readonly accountId: AccountId
  readonly requestId: AccessRequestId
  /** Of the request. Another version was edited since, and the link decides nothing about it. */
  readonly version: number
  readonly verdict: Verdict
  readonly userId: UserId
}

const Payload = z.tuple([AccountId, AccessRequestId, z.int().min(1), Verdict, UserId])

/**
 * The token of a link. It goes into the fragment of a URL, which no server and no log sees, and into the body of the request.
 *
 * @param key the same in every process of the installation
 */
export function signDecisionLink(key: KeyObject, { accountId, requestId, version, verdict, userId }: DecisionLink): string {
  const payload = Buffer.from(JSON.stringify([accountId, requestId, version, verdict, userId])).toString('base64url')
  return `${payload}.${macOf(key, payload).toString('base64url')}`
}

/** What a token of ours says; undefined: it is none. */
export function readDecisionLink(key: KeyObject, token: string): DecisionLink | undefined {
  const [payload = '', mac = '', ...rest] = token.split('.')
  const [given, right] = [Buffer.from(mac, 'base64url'), macOf(key, payload)]
  if (rest.length > 0 || given.length !== right.length || !timingSafeEqual(given, right)) return undefined
  const [accountId, requestId, version, verdict, userId] = Payload.parse(JSON.parse(Buffer.from(payload, 'base64url').toString()))
  return { accountId, requestId, version, verdict, userId }
}

const macOf = (key: KeyObject, payload: string): Buffer => createHmac('sha256', key).update(`decision-link ${payload}`).digest()
