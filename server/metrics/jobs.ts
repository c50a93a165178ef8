import type { Counter, Registry } from 'prom-client'
import type { JobMeter } from '#schemas/meters.ts'
import { counter } from './known.ts'

/** Any growth means that somebody changed a stored value outside of Leasehold. */
export const decryptionFailures = (registry: Registry): Counter =>
  counter(registry, { name: 'leasehold_decryption_failures_total', help: 'Stored values that failed their integrity check' })

export function jobMeter(registry: Registry): JobMeter {
  const granted = counter(registry, { name: 'leasehold_job_claims_granted_total', help: 'Jobs that a connector claimed' })
  const refused = counter(registry, { name: 'leasehold_job_claims_refused_total', help: 'Claims that were refused', labelNames: ['reason'] })
  const results = counter(registry, {
    name: 'leasehold_job_results_total',
    help: 'Results of connectors: recorded, stale, or altered (their MAC did not fit)',
    labelNames: ['outcome'],
  })
  const failures = decryptionFailures(registry)
  return {
    claimGranted: () => granted.inc(),
    claimRefused: (reason) => refused.inc({ reason }),
    resultTaken: (outcome) => results.inc({ outcome }),
    decryptionFailed: () => failures.inc(),
  }
}
