import type { JobResult, ReasonClass, SealedJob } from '#schemas/connector-message.ts'
import type { Adapter, LoginOutcome, Target } from './adapters/adapter.ts'
import type { AllowList } from './allow-list.ts'

/** What a job came to, before it is signed. */
export type JobOutcome = Pick<JobResult, 'outcome' | 'reasonClass' | 'stagedLogsIn' | 'knownLogsIn'>

/** A job whose connections can be ended from outside. */
export type Job = Omit<SealedJob, 'target'> & { readonly target: Target & { readonly adapter: string } }

export interface JobTools {
  readonly adapters: Readonly<Record<string, Adapter>>
  readonly allowList: AllowList
  /** Writes a step down, durably, before it returns. */
  readonly step: (state: 'applying' | 'applied') => void
  /** ms until the change must not be sent any more; by a clock that nobody sets. */
  readonly remaining: () => number
}

const unchanged = (reasonClass: ReasonClass, logins: Partial<JobOutcome> = {}): JobOutcome => ({
  outcome: 'unchanged',
  reasonClass,
  stagedLogsIn: null,
  knownLogsIn: null,
  ...logins,
})

/**
 * Does one job. A reset changes the account once and proves it by a fresh login; a probe only finds out. Either way at most
 * two logins with the account's own values beside the change, so that no target locks it; a check is one login and nothing else.
 */
export async function runJob(job: Job, tools: JobTools): Promise<JobOutcome> {
  const adapter = Object.hasOwn(tools.adapters, job.target.adapter) ? tools.adapters[job.target.adapter] : undefined
  // Who only asks and could not knows nothing; a reset that was never tried changed nothing.
  const untried = (reasonClass: ReasonClass): JobOutcome =>
    job.kind === 'reset' ? unchanged(reasonClass) : { outcome: 'unknown', reasonClass, stagedLogsIn: null, knownLogsIn: null }
  if (adapter === undefined) return untried('unsupported')
  if (!tools.allowList.allows(job.target.address, job.target.port)) return untried('not-allowed')
  // With one value there is one login, and nothing to clear up.
  if (job.kind === 'check') return tools.remaining() > 0 ? prove({ ...job, known: null }, adapter, 'denied') : untried('late')
  if (job.kind === 'probe') return clearUp(job, adapter, tools, await prove(job, adapter, 'unverified'))
  const as = job.admin ?? (job.known === null ? null : { username: job.account.username, password: job.known })
  if (as === null) return unchanged('unsupported')
  const beforeSend = (): number => {
    if (tools.remaining() <= 0) return 0
    tools.step('applying')
    // crash point: job applying
    // Writing that down took time too.
    return tools.remaining()
  }
  const change = await adapter.change(job.target, { as, username: job.account.username, password: job.staged, known: job.known, beforeSend })
  if (change.change === 'unchanged' && change.reasonClass === 'denied' && job.admin === null) return findOut(job, adapter, tools)
  if (change.change === 'unchanged') return unchanged(change.reasonClass)
  // crash point: job changed
  if (change.change === 'applied') tools.step('applied')
  // crash point: job applied
  const outcome = await prove(job, adapter, change.change === 'applied' ? 'verify-failed' : change.reasonClass)
  // crash point: job proven
  // What was sent may still arrive: that the known value logs in now does not mean that it will in a second. Nor does it where the target says
  // that it has replaced it: a replica may have answered that is behind.
  if (outcome.outcome === 'unchanged' && (change.change === 'unknown' || removerOf(adapter, job.target) === undefined))
    return { ...outcome, outcome: 'unknown' }
  return clearUp(job, adapter, tools, outcome)
}

/** Who is refused as itself may have the new value already, of a change that nobody heard of. Else nothing was added that had to be taken away. */
async function findOut(job: Job, adapter: Adapter, tools: JobTools): Promise<JobOutcome> {
  const proven = await prove(job, adapter, 'denied')
  return proven.outcome === 'confirmed' ? clearUp(job, adapter, tools, proven) : proven
}

/** Takes a value away where a change only adds one; undefined: a change replaces the old one. */
const removerOf = (adapter: Adapter, target: Target): Adapter['remove'] => (adapter.addsValues?.(target) === false ? undefined : adapter.remove)

/**
 * Where a change only adds a value, the account has two until one is taken away: the old one once the new one is proven and, by a
 * login, does not log in any more; the new one when it does not log in. Until that is done nobody can tell, and a probe goes on.
 */
async function clearUp(job: Job, adapter: Adapter, { remaining }: JobTools, proven: JobOutcome): Promise<JobOutcome> {
  const remove = removerOf(adapter, job.target)
  if (remove === undefined || job.known === null || proven.outcome === 'unknown') return proven
  const [kept, gone] = proven.outcome === 'confirmed' ? [job.staged, job.known] : [job.known, job.staged]
  const { username } = job.account
  const removal = await remove(job.target, { as: job.admin ?? { username, password: kept }, username, password: gone, remaining })
  if (removal.change !== 'applied') return { ...proven, outcome: 'unknown', reasonClass: removal.reasonClass }
  // crash point: job cleared up
  if (proven.outcome === 'unchanged') return proven
  const old = await tryValue(job.target, adapter, username, gone)
  if (old.login === 'rejected') return { ...proven, knownLogsIn: false }
  const isAlive = old.login === 'accepted'
  return { ...proven, outcome: 'unknown', reasonClass: old.login === 'unclear' ? old.reasonClass : 'verify-failed', knownLogsIn: isAlive ? true : null }
}

/** Which of the two values logs in: the staged one first, because that is the one to be proven. */
async function prove(job: Job, adapter: Adapter, reasonClass: ReasonClass): Promise<JobOutcome> {
  const staged = await tryValue(job.target, adapter, job.account.username, job.staged)
  if (staged.login === 'accepted') return { outcome: 'confirmed', reasonClass: null, stagedLogsIn: true, knownLogsIn: null }
  if (staged.login === 'unclear') return { outcome: 'unknown', reasonClass: staged.reasonClass, stagedLogsIn: null, knownLogsIn: null }
  if (job.known === null) return { outcome: 'unknown', reasonClass, stagedLogsIn: false, knownLogsIn: null }
  const known = await tryValue(job.target, adapter, job.account.username, job.known)
  if (known.login === 'accepted') return unchanged(reasonClass, { stagedLogsIn: false, knownLogsIn: true })
  return {
    outcome: 'unknown',
    stagedLogsIn: false,
    knownLogsIn: known.login === 'rejected' ? false : null,
    reasonClass: known.login === 'unclear' ? known.reasonClass : reasonClass,
  }
}

const tryValue = (target: Target, adapter: Adapter, username: string, password: string): Promise<LoginOutcome> => adapter.logIn(target, { username, password })
