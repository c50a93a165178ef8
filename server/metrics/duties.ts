import type { Registry } from 'prom-client'
import type { DutyMeter } from '#schemas/meters.ts'
import type { DutyFigures } from '#store/duty-figures.ts'
import { counter, durations, gauge } from './known.ts'

export function dutyMeter(registry: Registry): DutyMeter {
  const delivered = counter(registry, { name: 'leasehold_duties_delivered_total', help: 'Duties delivered', labelNames: ['kind'] })
  const failed = counter(registry, { name: 'leasehold_duties_failed_total', help: 'Deliveries that failed because of their subject', labelNames: ['kind'] })
  const took = durations(registry, { name: 'leasehold_duty_delivery_duration_seconds', help: 'Time of one delivery', labelNames: ['kind'] })
  return {
    delivered: (kind, seconds) => {
      delivered.inc({ kind })
      took.observe({ kind }, seconds)
    },
    failed: (kind) => failed.inc({ kind }),
  }
}

/** @returns takes what PostgreSQL says about duties */
export function dutyGauges(registry: Registry): (figures: readonly DutyFigures[] | undefined) => void {
  const undelivered = gauge(registry, { name: 'leasehold_duties_undelivered', help: 'Duties that are owed, those not yet due included', labelNames: ['kind'] })
  const lag = gauge(registry, { name: 'leasehold_duty_lag_seconds', help: 'Age of the oldest due duty that is not delivered', labelNames: ['kind'] })
  const quarantined = gauge(registry, { name: 'leasehold_duties_quarantined', help: 'Duties given up after 20 failures', labelNames: ['kind'] })
  const kinds = new Set<string>()
  return (figures) => {
    for (const kind of kinds) for (const each of [undelivered, lag, quarantined]) each.remove({ kind })
    for (const { kind, ...figure } of figures ?? []) {
      kinds.add(kind)
      undelivered.set({ kind }, figure.undelivered)
      lag.set({ kind }, figure.lagSeconds)
      quarantined.set({ kind }, figure.quarantined)
    }
  }
}

/** @returns takes the seconds since the relay's last good call to Temporal, on which standard checkouts depend */
export function heartbeatGauge(registry: Registry): (ms: number | undefined) => void {
  const age = gauge(registry, { name: 'leasehold_relay_heartbeat_age_seconds', help: 'Time since the last good call of a relay to Temporal' })
  return (ms) => (ms === undefined ? age.remove() : age.set(ms / 1_000))
}
