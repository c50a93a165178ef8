import type { ReasonClass } from '#schemas/connector-message.ts'
import type { Change, ChangeOutcome } from './adapters/adapter.ts'
import type { SshConnection } from './ssh-login.ts'
import { openTerminal, type SshTerminal } from './ssh-terminal.ts'

/** s after which nobody at the target reads answers any more. */
const dialogueSeconds = 8
const questionLimit = 5_000
/** The longest wait for the end after the last answer, ms: passwd waits up to 15 s for the lock of the password files. */
const endLimit = 18_000

/**
 * `timeout` may end passwd, although that runs as root, because it was started by the account; it ignores every signal that can be
 * ignored, and its files are replaced by a rename. In the foreground, because only there a program may read the terminal. A target without such a `timeout` has the other half of the fence alone: the connection is reset.
 */
const command = `sh -c 'export LC_ALL=C; if timeout --foreground -s KILL 1 true 2>/dev/null; then exec timeout --foreground -s KILL ${dialogueSeconds} passwd; else exec passwd; fi'`

/** As PAM's modules and those before them ask (LC_ALL=C), the narrower ones first. */
const questions = {
  again: /(retype|re-?enter|again|confirm)[^\n]*:\s*$/i,
  old: /(current|old)[^\n]*password[^\n:]*:\s*$/i,
  new: /\bnew\b[^\n]*password[^\n:]*:\s*$/i,
} as const

/** What pam_pwquality, pam_cracklib, pam_unix and pam_pwhistory say of a value that they do not take. */
export const policyWords =
  /(^|\n)(BAD PASSWORD: |Password has been already used|You must choose a (longer|shorter) password|Bad: new password|Password unchanged)/

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })
const unknown: ChangeOutcome = { change: 'unknown', reasonClass: 'interrupted' }

/**
 * An account changes its own password by `passwd`. Each question is known before it is answered, so that no value goes anywhere else:
 * the old one once, the new one twice; whatever else is asked ends it.
 *
 * @param connection of the account itself
 */
export async function changeOwn(
  connection: SshConnection,
  { as, password, beforeSend }: Pick<Change, 'as' | 'password' | 'beforeSend'>,
): Promise<ChangeOutcome> {
  // It is in by this very value.
  if (as.password === password) return { change: 'applied' }
  const fenceEnds = performance.now() + dialogueSeconds * 1_000
  const terminal = await openTerminal(connection, command, questionLimit)
  if (typeof terminal === 'string') return unchanged(terminal === 'refused' ? 'denied' : 'unreachable')
  const opening = await passOld(terminal, as.password)
  if (opening !== 'new') return opening
  const remaining = beforeSend()
  if (remaining <= 0 || remaining < fenceEnds - performance.now()) return unchanged('late')
  const deadline = performance.now() + Math.min(remaining, endLimit)
  const outcome = await sayNew(terminal, password, () => Math.max(0, deadline - performance.now()))
  if (outcome.change === 'unknown') connection.abort()
  return outcome
}

/** @returns `new`: it asks for the new one */
async function passOld(terminal: SshTerminal, old: string): Promise<'new' | ChangeOutcome> {
  const first = await terminal.question(questions, questionLimit)
  // Root is not asked.
  if (first === 'new') return 'new'
  if (first !== 'old') return unchanged(first === 'ended' ? 'refused' : first === 'silence' ? 'unreachable' : 'unsupported')
  terminal.answer(old)
  const second = await terminal.question(questions, questionLimit)
  if (second === 'new') return 'new'
  if (second === 'silence') return unchanged('unsupported')
  return unchanged(/must wait longer/.test(terminal.words()) ? 'refused' : 'denied')
}

/** Only with the second answer something is changed; a module that asks once may have done it with the first. */
async function sayNew(terminal: SshTerminal, value: string, left: () => number): Promise<ChangeOutcome> {
  for (const wanted of ['again', 'ended'] as const) {
    terminal.answer(value)
    const heard = await terminal.question(questions, left())
    const isRefused = policyWords.test(terminal.words())
    if (heard === 'new' || heard === 'old') return unchanged(isRefused ? 'policy-refused' : 'refused')
    if (heard === 'ended') return ended(terminal.exitCode(), isRefused)
    if (heard !== wanted) return unknown
  }
  return unknown
}

/** No status, a signal, or a shell's word for one: it was stopped somewhere. */
function ended(code: number | null | undefined, isRefused: boolean): ChangeOutcome {
  if (code === undefined || code === null || code >= 124) return unknown
  if (code === 0) return { change: 'applied' }
  return unchanged(isRefused ? 'policy-refused' : 'refused')
}
