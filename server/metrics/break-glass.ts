import type { Registry } from 'prom-client'
import type { BreakGlassFigures } from '#store/break-glass-figures.ts'
import { gauge } from './known.ts'

/** @returns takes what PostgreSQL says about emergency uses */
export function breakGlassGauges(registry: Registry): (figures: BreakGlassFigures | undefined) => void {
  const unreviewed = gauge(registry, { name: 'leasehold_break_glass_unreviewed', help: 'Break-glass uses that nobody has reviewed' })
  const oldest = gauge(registry, { name: 'leasehold_break_glass_oldest_unreviewed_seconds', help: 'Since when the oldest of them waits' })
  return (figures) => {
    if (figures === undefined) {
      unreviewed.remove()
      oldest.remove()
      return
    }
    unreviewed.set(figures.unreviewed)
    oldest.set(figures.oldestSeconds)
  }
}
