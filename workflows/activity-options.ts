import type { ActivityOptions, LocalActivityOptions } from '@temporalio/workflow'

/** Servers may be down for hours: what must happen is tried until it has happened. Refusals by our own rules are not retried. */
const retry = { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '30s' } as const

/** A look: one short read whose result stands in the history. */
export const lookOptions: LocalActivityOptions = { startToCloseTimeout: '3s', retry }
/** An attempt to reach somebody outside, between two short transactions. When it is tried again stands in PostgreSQL. */
export const sendOptions: ActivityOptions = { startToCloseTimeout: '20s', retry: { maximumAttempts: 1 } }
/** A change that asks a server besides PostgreSQL: after so long, or a refusal, the loop looks again at what there is to do. */
export const makeOptions: ActivityOptions = { startToCloseTimeout: '10s', scheduleToCloseTimeout: '60s', retry }
/** A change: one deciding transaction, safe to run twice. */
export const changeOptions: ActivityOptions = { startToCloseTimeout: '10s', retry }
