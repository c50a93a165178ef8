import type { Registry } from 'prom-client'
import type { ApiMeter } from '#schemas/meters.ts'
import { decryptionFailures } from './jobs.ts'
import { counter, durations } from './known.ts'

export function apiMeter(registry: Registry): ApiMeter {
  const requests = durations(registry, {
    name: 'leasehold_http_request_duration_seconds',
    help: 'Time to the head of an answer',
    labelNames: ['method', 'route', 'status'],
  })
  const checkouts = counter(registry, {
    name: 'leasehold_checkouts_total',
    help: 'Checkouts by outcome: granted, replayed, or a code of the error table',
    labelNames: ['outcome'],
  })
  const decisions = durations(registry, { name: 'leasehold_checkout_duration_seconds', help: 'Time from the request to the decision of a checkout' })
  const failures = decryptionFailures(registry)
  return {
    answered: ({ method, route, status }, seconds) => requests.observe({ method, route, status: String(status) }, seconds),
    checkedOut: (outcome, seconds) => {
      checkouts.inc({ outcome })
      decisions.observe(seconds)
    },
    decryptionFailed: () => failures.inc(),
  }
}
