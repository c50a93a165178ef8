import type { NoticeFacts } from '#schemas/notice-facts.ts'
import { idleLook, shortestWait } from './lease-step.ts'

/** What the workflow of a notice does next. */
export interface NotificationStep {
  /** Messages whose attempt begins now; nobody waits for its end. */
  readonly send: readonly string[]
  /** ms until the next look, unless something happens before; null: everything is over. */
  readonly waitMs: number | null
}

/** Attempts that run at once. */
export const widest = 20

/** @param sending messages whose attempt has begun and not ended: one that hangs holds up no other */
export function nextNotificationStep({ pending }: NoticeFacts, sending: ReadonlySet<string>): NotificationStep {
  if (pending.length === 0) return { send: [], waitMs: null }
  const free = pending.filter(({ deliveryId }) => !sending.has(deliveryId))
  const send = free.filter(({ dueInMs }) => dueInMs <= 0).slice(0, Math.max(0, widest - sending.size))
  const later = free.filter(({ dueInMs }) => dueInMs > 0).map(({ dueInMs }) => dueInMs)
  return { send: send.map(({ deliveryId }) => deliveryId), waitMs: Math.max(shortestWait, Math.min(idleLook, ...later)) }
}
