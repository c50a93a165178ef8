import type { Registry } from 'prom-client'
import type { ExpirerMeter, ReconcileMeter } from '#schemas/meters.ts'
import type { ExpirerFigures } from '#store/expirer-figures.ts'
import { counter, durations, gauge } from './known.ts'

export function expirerMeter(registry: Registry): ExpirerMeter {
  const ended = counter(registry, { name: 'leasehold_expirer_ended_total', help: 'Leases that the expirer ended' })
  const turns = durations(registry, { name: 'leasehold_expirer_turn_duration_seconds', help: 'Time of one turn over all overdue leases' })
  return {
    turned: (count, seconds) => {
      ended.inc(count)
      turns.observe(seconds)
    },
  }
}

/** @returns takes what PostgreSQL says about what should be over */
export function expirerGauges(registry: Registry): (figures: ExpirerFigures | undefined) => void {
  const gauges = {
    overdue: gauge(registry, { name: 'leasehold_expirer_overdue_leases', help: 'Active leases past their end' }),
    oldestSeconds: gauge(registry, { name: 'leasehold_expirer_oldest_overdue_seconds', help: 'How long the most overdue lease is past its end' }),
    stuckRotations: gauge(registry, { name: 'leasehold_rotations_stuck', help: 'Rotations that have been pending for longer than their organization allows' }),
    driftedCredentials: gauge(registry, {
      name: 'leasehold_credentials_drifted',
      help: 'Stored credentials that their host is known to refuse, each per host',
    }),
    unreachableCredentials: gauge(registry, {
      name: 'leasehold_credentials_unreachable',
      help: 'Stored credentials whose host gave no answer to the last check',
    }),
  }
  return (figures) => {
    for (const name of ['overdue', 'oldestSeconds', 'stuckRotations', 'driftedCredentials', 'unreachableCredentials'] as const) {
      if (figures === undefined) gauges[name].remove()
      else gauges[name].set(figures[name])
    }
  }
}

export function reconcileMeter(registry: Registry): ReconcileMeter {
  const last = gauge(registry, { name: 'leasehold_reconcile_last_run_timestamp_seconds', help: 'When this process last reconciled with Temporal' })
  const reopened = counter(registry, { name: 'leasehold_reconcile_reopened_total', help: 'Duties that reconciliation owed once more' })
  return {
    reconciled: (count) => {
      last.setToCurrentTime()
      reopened.inc(count)
    },
  }
}
