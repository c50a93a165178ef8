import { createHash, randomBytes } from 'node:crypto'
import { accountNameFault } from '#schemas/account-name.ts'
import { AuthorizedKeysFile, defaultKeysFile } from '#schemas/authorized-keys-file.ts'
import type { ReasonClass } from '#schemas/connector-message.ts'
import type { ChangeOutcome, Target } from './adapters/adapter.ts'
import { startCommand } from './ssh-command.ts'
import type { SshConnection } from './ssh-login.ts'

/** One account's file of keys on a target, and who may write it there. */
export interface KeysFile {
  /** Shell words that expand to its path. */
  readonly path: string
  /** Starts `sh -c` as whoever the folder belongs to. */
  readonly shell: string
  /** Mode of a file that is made anew: in a folder of the system sshd reads it as the account. */
  readonly mode: '600' | '644'
}

/**
 * The file is written as the account itself, by sudo when an admin does it, so that nothing an account puts into its home, a link
 * to a file of the system for one, makes root write there. Where the path leads out of the home it is root's.
 *
 * @returns undefined: not to be named without quoting
 */
export function keysFileOf({ parameters }: Target, username: string, as: string): KeysFile | undefined {
  const configured = AuthorizedKeysFile.safeParse(parameters['authorizedKeysFile'] ?? defaultKeysFile)
  if (!configured.success || accountNameFault('ssh-key', username) !== undefined) return undefined
  const isShared = configured.data.startsWith('/')
  const expanded = configured.data.replace(/^%h\//, '').replace(/%[u%]/g, (token) => (token === '%u' ? username : '%'))
  const file = { path: isShared ? expanded : `~${username}/${expanded}`, mode: isShared ? '644' : '600' } as const
  if (as === username) return { ...file, shell: 'env LC_ALL=C sh -c' }
  if (as === 'root') return { ...file, shell: isShared ? 'env LC_ALL=C sh -c' : `env LC_ALL=C su -s /bin/sh ${username} -c` }
  return { ...file, shell: `env LC_ALL=C sudo -n ${isShared ? '' : `-u ${username} `}sh -c` }
}

/** The content as latin1, so that every byte stays what it is, and its digest as sha256sum prints it; `absent` when there is no file. */
export interface KeysText {
  readonly text: string
  readonly digest: string
}

const largest = 1_048_576
const commandLimit = 8_000
const denied = 91
const cutShort = 92
const changed = 93

const resolve = (path: string): string => `f=${path}; if [ -L "$f" ]; then f=$(readlink -f "$f"); fi`
const digest = 'if [ -e "$f" ]; then sha256sum <"$f"; else echo absent; fi'

/** @returns why it cannot be read */
export async function readKeys(connection: SshConnection, { path, shell }: KeysFile): Promise<KeysText | ReasonClass> {
  const script = `${resolve(path)}; (${digest}) >&2 && if [ -e "$f" ]; then cat "$f"; fi`
  const command = await startCommand(connection, `${shell} '${script}'`, commandLimit, largest)
  if (typeof command === 'string') return command === 'refused' ? 'denied' : 'unreachable'
  command.feed('')
  const exit = await command.exit(commandLimit)
  if (exit === undefined) return 'unreachable'
  const [, found] = /(?:^|\n)([0-9a-f]{64}|absent)\b/.exec(exit.words) ?? []
  if (exit.code !== 0 || found === undefined) return 'denied'
  // It was written while it was read, or is larger than we take.
  if (found !== (exit.output.length === 0 && found === 'absent' ? found : digestOf(exit.output))) return 'interrupted'
  return { text: exit.output.toString('latin1'), digest: found }
}

const digestOf = (content: Buffer): string => createHash('sha256').update(content).digest('hex')

/** s that the target waits for the content after it started the command; what comes later finds nobody (see adapters/ssh.ts). */
const feedSeconds = 5
const exitLimit = 15_000

/**
 * Puts the new content in the place of the old one, at once: written beside it, brought to disk, given its owner and mode, renamed.
 * A file that is not the one that was read any more stays as it is, as does everything when the content does not come whole.
 *
 * @param beforeSend called directly before the content is sent. @returns ms that are left; 0: too late
 */
export async function writeKeys(
  connection: SshConnection,
  { path, shell, mode }: KeysFile,
  { read, text, beforeSend }: { readonly read: KeysText; readonly text: string; readonly beforeSend: () => number },
): Promise<ChangeOutcome> {
  // One byte more, so that an empty file is told from one that never came.
  const content = Buffer.from(`${text}\n`, 'latin1')
  const temporary = `$f.leasehold-${randomBytes(8).toString('hex')}`
  const take = `head -c ${content.length}`
  const script = [
    'umask 077',
    resolve(path),
    'd=${f%/*}',
    `t="${temporary}"`,
    `end() { rm -f "$t" "$t.in"; exit $1; }`,
    ...(mode === '600' ? ['[ -d "$d" ] || mkdir -m 700 "$d" || exit 91'] : []),
    // A folder of somebody else could be made to lead anywhere between two steps.
    `[ -O "$d" ] || exit ${denied}`,
    'rm -f "$f".leasehold-*',
    `if timeout ${feedSeconds} true </dev/null 2>/dev/null; then timeout ${feedSeconds} ${take} >"$t.in"; else ${take} >"$t.in"; fi`,
    `[ "$(wc -c <"$t.in")" -eq ${content.length} ] || end ${cutShort}`,
    `head -c ${content.length - 1} "$t.in" >"$t" || end ${denied}`,
    `case "$(${digest})" in ${read.digest}*) ;; *) end ${changed};; esac`,
    `if [ -e "$f" ]; then chown "$(stat -c %u:%g "$f")" "$t" && chmod "$(stat -c %a "$f")" "$t"; else chmod ${mode} "$t"; fi || end ${denied}`,
    'sync "$t" 2>/dev/null || sync',
    `mv -f "$t" "$f" || end ${denied}`,
    'sync "$d" 2>/dev/null || sync',
    'end 0',
  ].join('; ')
  const feedEnds = performance.now() + feedSeconds * 1_000
  const command = await startCommand(connection, `${shell} '${script}'`, feedSeconds * 500)
  if (typeof command === 'string') return unchanged(command === 'refused' ? 'denied' : 'unreachable')
  const remaining = beforeSend()
  // It may be read until then, so that moment has to be in time too.
  if (remaining <= 0 || remaining < feedEnds - performance.now()) return unchanged('late')
  command.feed(content)
  const exit = await command.exit(Math.min(remaining, exitLimit))
  if (exit === undefined) connection.abort()
  if (exit === undefined || exit.code === null || exit.code >= 128) return { change: 'unknown', reasonClass: 'interrupted' }
  if (exit.code === 0) return { change: 'applied' }
  return unchanged(exit.code === changed || exit.code === cutShort ? 'interrupted' : 'denied')
}

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })
