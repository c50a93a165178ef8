import type { Alarm, OfferRefusal } from '#schemas/connector-message.ts'

/** Tells the control plane of offers that were refused for what they are; not of those that only come at the wrong time. */
export type RaiseAlarm = (why: OfferRefusal) => void

const pause = 10_000

/** @param send fails when the control plane does not hear it; then it is told with the next one */
export function createAlarms(send: (alarm: Alarm) => Promise<void>, now: () => number = () => performance.now()): RaiseAlarm {
  const counted = new Map<Alarm['why'], { count: number; sentAt: number }>()
  return (why) => {
    if (why === 'busy' || why === 'draining') return
    const state = counted.get(why) ?? { count: 0, sentAt: Number.NEGATIVE_INFINITY }
    counted.set(why, state)
    state.count += 1
    if (now() - state.sentAt < pause) return
    state.sentAt = now()
    const { count } = state
    void send({ v: 1, why, count }).then(
      () => void (state.count -= count),
      () => {},
    )
  }
}
