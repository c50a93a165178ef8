import ssh2 from 'ssh2'
import { accountNameFault } from '#schemas/account-name.ts'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { isPreparedPassword } from '../scram.ts'
import { startCommand, type SshExit } from '../ssh-command.ts'
import { openSsh, type SshConnection, type SshCredential } from '../ssh-login.ts'
import { changeOwn, policyWords } from '../ssh-passwd.ts'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Target } from './adapter.ts'

/**
 * Linux accounts: an admin sets the password by `chpasswd`, a fresh password login proves it. The value is sent as one line of
 * input over the encrypted channel to a host whose key is pinned; it is never part of a command and nothing is echoed. (What
 * sudo's own `log_input` records is the target's affair; leave it off for chpasswd.) Without an admin an account changes itself
 * by `passwd`.
 */
export const sshAdapter: Adapter = { change, logIn }

/** s that the target goes on reading input after it started the command. */
const feedSeconds = 5
/** The longest wait for the command's end, ms: chpasswd waits up to 15 s for the lock of the password files. */
const exitLimit = 18_000

/**
 * What may still be applied once we have stopped waiting? Only input that chpasswd gets to see. So it is not chpasswd that reads
 * the connection, but `head` under `timeout`: whatever arrives more than 5 s after the start finds nobody, and chpasswd, with
 * no line at all, changes nothing. `timeout` around chpasswd itself would not do: it could not end a sudo that runs as root, and
 * `sudo timeout` would need a right to run anything. The clock starts before the value is sent and needs no clock of ours. A
 * target without a usable `timeout` (an old busybox) has the other half of the fence alone: we reset a connection that we gave
 * up, so that our kernel forgets what it has not delivered.
 */
const commandOf = (admin: string): string => {
  const line = `if timeout ${feedSeconds} true </dev/null 2>/dev/null; then timeout ${feedSeconds} head -n 1; else head -n 1; fi`
  return `sh -c '(${line}) | LC_ALL=C ${admin === 'root' ? '' : 'sudo -n '}chpasswd'`
}

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })

async function change(target: Target, change: Change): Promise<ChangeOutcome> {
  const { as, username, password } = change
  const credential = credentialOf(as)
  const isSelf = as.username === username
  // passwd asks for the old password, which a key is not.
  if (credential === undefined || (isSelf && 'key' in credential) || accountNameFault('ssh', username) !== undefined || !isPreparedPassword(password))
    return unchanged('unsupported')
  const connection = await openSsh(target, as.username, credential)
  try {
    // Whoever could log in without a proof may still run commands; only what we verify later must be proven.
    if (connection.isOpen) return await (isSelf ? changeOwn : setPassword)(connection, change)
    return unchanged(connection.outcome.login === 'unclear' ? connection.outcome.reasonClass : 'denied')
  } finally {
    await connection.hangUp()
  }
}

async function setPassword(connection: SshConnection, { as, username, password, beforeSend }: Change): Promise<ChangeOutcome> {
  const feedEnds = performance.now() + feedSeconds * 1_000
  const command = await startCommand(connection, commandOf(as.username), feedSeconds * 500)
  if (typeof command === 'string') return unchanged(command === 'refused' ? 'denied' : 'unreachable')
  const remaining = beforeSend()
  // The line may be read until then, so that moment has to be in time too.
  if (remaining <= 0 || remaining < feedEnds - performance.now()) return unchanged('late')
  // One line, one packet, one write into the pipe: a connection that is cut delivers all of it or nothing.
  command.feed(`${username}:${password}\n`)
  const exit = await command.exit(Math.min(remaining, exitLimit))
  if (exit === undefined) connection.abort()
  return verdictOf(exit, { admin: as.username, isFed: performance.now() < feedEnds })
}

/** @param isFed whether the target was still reading when it ended: after that, success may mean that it had nothing to do */
function verdictOf(exit: SshExit | undefined, { admin, isFed }: { admin: string; isFed: boolean }): ChangeOutcome {
  // No status, a signal, or a shell's word for a signal: it was stopped somewhere.
  if (exit === undefined || exit.code === null || exit.code >= 128) return { change: 'unknown', reasonClass: 'interrupted' }
  if (exit.code === 0) return isFed ? { change: 'applied' } : { change: 'unknown', reasonClass: 'interrupted' }
  if (policyWords.test(exit.words)) return unchanged('policy-refused')
  // chpasswd announces itself; otherwise it was never reached.
  return unchanged(admin === 'root' || /(^|\n)chpasswd: /.test(exit.words) ? 'refused' : 'denied')
}

async function logIn(target: Target, { username, password }: Login): Promise<LoginOutcome> {
  const connection = await openSsh(target, username, { password })
  await connection.hangUp()
  return connection.outcome
}

/** @returns undefined for a private key that is encrypted, damaged, or of a kind (DSA) that only signs with SHA-1 */
export function credentialOf({ password }: Login): SshCredential | undefined {
  if (!/^\s*(-----BEGIN |PuTTY-User-Key-File-)/.test(password)) return { password }
  const parsed = ssh2.utils.parseKey(password.trim())
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  return key === undefined || key instanceof Error || !key.isPrivateKey() || key.type === 'ssh-dss' ? undefined : { key }
}
