import type { Registry } from 'prom-client'
import type { NoticeFigures } from '#store/notice-figures.ts'
import { gauge } from './known.ts'

/** @returns takes what PostgreSQL says about messages that do not arrive */
export function noticeGauges(registry: Registry): (figures: readonly NoticeFigures[] | undefined) => void {
  const undelivered = gauge(registry, {
    name: 'leasehold_notices_undelivered',
    help: 'Messages of notices that were tried and have not arrived yet',
    labelNames: ['carrier'],
  })
  const oldest = gauge(registry, { name: 'leasehold_notices_oldest_undelivered_seconds', help: 'Age of the oldest of them', labelNames: ['carrier'] })
  return (figures) => {
    undelivered.reset()
    oldest.reset()
    for (const { carrier, ...figure } of figures ?? []) {
      undelivered.set({ carrier }, figure.undelivered)
      oldest.set({ carrier }, figure.oldestSeconds)
    }
  }
}
