import { randomBytes } from 'node:crypto'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { HttpCalls, type ChangingCall } from '#schemas/http-calls.ts'
import { openHttps } from '../http-session.ts'
import { fill, type Filling } from '../http-template.ts'
import { isPreparedPassword } from '../scram.ts'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Removal, Target } from './adapter.ts'

/**
 * API keys and passwords that are changed by HTTP calls, always over TLS and only at the host itself: a redirect is an answer like
 * any other. The value is ours and registered with the target, so that it is in the vault before the target has it. Where the calls
 * have `revoke`, the target has two values until the new one is proven; else the new one takes the place of the old one.
 */
export const httpAdapter: Adapter = { change, remove, addsValues: (target) => callsOf(target)?.revoke !== undefined, logIn }

/** The longest wait for an answer, ms. */
const answerLimit = 15_000
const loginLimit = 5_000

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })
const unclear = (reasonClass: ReasonClass): LoginOutcome => ({ login: 'unclear', reasonClass })

function change(target: Target, { as, username, password, beforeSend }: Change): Promise<ChangeOutcome> {
  return modify(target, callsOf(target)?.set, { filling: { as, username, value: password }, beforeSend })
}

function remove(target: Target, { as, username, password, remaining }: Removal): Promise<ChangeOutcome> {
  return modify(target, callsOf(target)?.revoke, { filling: { as, username, value: password }, beforeSend: remaining })
}

interface Modification {
  readonly filling: Filling
  readonly beforeSend: () => number
}

async function modify(target: Target, call: ChangingCall | undefined, { filling, beforeSend }: Modification): Promise<ChangeOutcome> {
  const request = call === undefined || !isPreparedPassword(filling.value) ? undefined : fill(call, filling)
  if (call === undefined || request === undefined) return unchanged('unsupported')
  const session = await openHttps(target)
  if (typeof session === 'string') return unchanged(session)
  try {
    const remaining = beforeSend()
    if (remaining <= 0) return unchanged('late')
    return verdictOf(call, await session.send(request, Math.min(remaining, answerLimit)))
  } finally {
    session.close()
  }
}

function verdictOf({ done = [200, 201, 204], policyRefused = [] }: ChangingCall, status: number | undefined): ChangeOutcome {
  // Whoever answers 5xx, 408 or a redirect may have passed it on before.
  const isRefusal = status !== undefined && status >= 400 && status <= 499 && status !== 408
  if (status !== undefined && done.includes(status)) return { change: 'applied' }
  if (!isRefusal) return { change: 'unknown', reasonClass: 'interrupted' }
  if (policyRefused.includes(status)) return unchanged('policy-refused')
  return unchanged([401, 403].includes(status) ? 'denied' : 'refused')
}

async function logIn(target: Target, { username, password }: Login): Promise<LoginOutcome> {
  const call = callsOf(target)?.verify
  const ask = (value: string) => call && fill(call, { username, value })
  // A target that takes a value that nobody has takes every one.
  const [request, madeUp] = [ask(password), ask(randomBytes(24).toString('base64url'))]
  if (call === undefined || request === undefined || madeUp === undefined) return unclear('unsupported')
  const { accepted = [200, 204], rejected = [401] } = call
  const session = await openHttps(target)
  if (typeof session === 'string') return unclear(session)
  try {
    const status = await session.send(request, loginLimit)
    if (status === undefined || status >= 500) return unclear('unreachable')
    if (rejected.includes(status)) return { login: 'rejected' }
    if (!accepted.includes(status)) return unclear(status >= 400 ? 'denied' : 'unverified')
    const other = await session.send(madeUp, loginLimit)
    return other !== undefined && rejected.includes(other) ? { login: 'accepted' } : unclear('unverified')
  } finally {
    session.close()
  }
}

/** @returns undefined: the host has none that we know how to make */
const callsOf = ({ parameters }: Target): HttpCalls | undefined => HttpCalls.safeParse(parameters['calls']).data
