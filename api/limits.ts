import type { ApiSettings } from './parts.ts'
import { addressKey, createRateLimit } from './rate-limit.ts'

/** What one caller may do to this process. */
export interface Limits {
  /** One request of a known caller. @throws LeaseholdError `rate-limited` */
  readonly request: (userId: string) => void
  /** A request to a route with a limit of its own. @throws LeaseholdError `rate-limited` after many refusals there */
  readonly beforeRefusal: (userId: string) => void
  /** It was refused: whoever may not do it does not get around the limit of requests by it. @throws LeaseholdError `rate-limited` */
  readonly refused: (userId: string) => void
  /** Before a credential of its own kind is tried that costs a transaction. @throws LeaseholdError `rate-limited` */
  readonly beforeTrial: (ip: string | undefined) => void
  /**
   * One failed authentication. It never refuses who succeeds: behind one address there may be many people, or a proxy.
   *
   * @param named whom a token that our issuer signed names; undefined: nobody knows
   * @throws LeaseholdError `rate-limited`, in place of the refusal and of its record
   */
  readonly failure: (ip: string | undefined, named?: { readonly iss: string; readonly sub: string }) => void
}

export function createLimits({ rates }: Pick<ApiSettings, 'rates'>): Limits {
  const requests = createRateLimit({ perSecond: rates.perSecond, burst: rates.burst })
  const failures = createRateLimit({ perSecond: rates.failuresPerMinute / 60, burst: rates.failuresPerMinute })
  return {
    request: (userId) => requests.take(userId),
    beforeRefusal: (userId) => failures.check(`refused ${userId}`),
    refused: (userId) => failures.take(`refused ${userId}`),
    beforeTrial: (ip) => failures.check(addressKey(ip)),
    failure: (ip, named) => failures.take([addressKey(ip), ...(named === undefined ? [] : [named.iss, named.sub])].join('\n')),
  }
}
