import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.ts'

/** A real sshd on a loopback port, with keys and a configuration of its own; its accounts are this machine's. */
export interface TestSshd {
  readonly address: string
  readonly port: number
  /** What `ssh-keygen -l` says of each host key, and the line of its .pub file; ed25519 first, then rsa. */
  readonly hostKeys: readonly { readonly fingerprint: string; readonly publicKey: string }[]
  /** Its log so far; each authentication request is in it. */
  readonly log: () => string
  /** Where it reads keys, as its configuration says; %u: the account. */
  readonly keysFile: string
  /** Makes a key that logs this account in. @returns the private half */
  readonly makeKey: (username: string, type: 'ed25519' | 'rsa' | 'ecdsa') => string
  /** Whether OpenSSH's own client logs in by this password. */
  readonly logsIn: (username: string, password: string) => Promise<boolean>
  readonly end: () => Promise<void>
}

const program = '/usr/sbin/sshd'
const programs = [program, '/usr/bin/ssh', '/usr/bin/ssh-keygen', '/usr/bin/sudo', '/usr/sbin/useradd', '/usr/sbin/chpasswd']

/** Why this machine cannot have one; undefined: it can. */
export function sshdMissing(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'real Linux accounts are made by root on Linux only'
  const absent = programs.filter((file) => !existsSync(file))
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`
}

const settings = {
  ListenAddress: '127.0.0.1',
  PidFile: 'none',
  UseDNS: 'no',
  UsePAM: 'no',
  StrictModes: 'no',
  PasswordAuthentication: 'yes',
  KbdInteractiveAuthentication: 'no',
  PubkeyAuthentication: 'yes',
  PermitRootLogin: 'yes',
  MaxStartups: '100',
  LogLevel: 'DEBUG1',
}

/**
 * @param options settings of sshd_config that differ from ours; `Match` blocks come last, as a text
 * @param passwords PAM's stack for chpasswd and passwd, for whoever logs in here: nothing else on this machine sees it
 */
export async function startSshd(options: Partial<Record<string, string>> = {}, matches = '', passwords?: string): Promise<TestSshd> {
  const folder = mkdtempSync(path.join(tmpdir(), 'leasehold-sshd-'))
  // sshd reads authorized keys as the user who logs in.
  chmodSync(folder, 0o755)
  mkdirSync(path.join(folder, 'keys'), { mode: 0o755 })
  // Its own place for unprivileged children; where a service starts it, the service makes it.
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const port = await freePort()
  const hostKeys = (['ed25519', 'rsa'] as const).map((type) => ({ type, ...generateKey(path.join(folder, `host_${type}`), type) }))
  const lines = Object.entries({ ...settings, ...leniency(), Port: String(port), AuthorizedKeysFile: path.join(folder, 'keys/%u'), ...options })
  const file = path.join(folder, 'sshd_config')
  const keys = hostKeys.map(({ type }) => `HostKey ${path.join(folder, `host_${type}`)}`)
  writeFileSync(file, `${[...keys, ...lines.map(([name, value]) => `${name} ${value}`), matches].join('\n')}\n`)
  const [start = program, ...args] = [...(passwords === undefined ? [] : withPam(folder, passwords)), program, '-D', '-e', '-f', file]
  const child = spawn(start, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => (log += part))
  const closed = once(child, 'close')
  await untilListening(port, () => (child.exitCode === null ? undefined : log))
  const askpass = path.join(folder, 'askpass')
  writeFileSync(askpass, '#!/bin/sh\nprintf "%s\\n" "$TEST_PASSWORD"\n', { mode: 0o755 })

  return {
    address: '127.0.0.1',
    port,
    hostKeys,
    log: () => log,
    keysFile: path.join(folder, 'keys', '%u'),
    makeKey: (username, type) => {
      const key = path.join(folder, `${username}_${type}`)
      writeFileSync(path.join(folder, 'keys', username), generateKey(key, type).publicKey, { mode: 0o644 })
      return readFileSync(key, 'utf8')
    },
    logsIn: async (username, password) => {
      const flags = ['PreferredAuthentications=password', 'PubkeyAuthentication=no', 'NumberOfPasswordPrompts=1', 'StrictHostKeyChecking=no']
      const args = [...flags, 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'].flatMap((flag) => ['-o', flag])
      const ssh = spawn('ssh', ['-F', '/dev/null', ...args, '-p', String(port), '-l', username, '127.0.0.1', 'true'], {
        stdio: 'ignore',
        env: { PATH: process.env['PATH'], SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', TEST_PASSWORD: password },
      })
      const [code] = await once(ssh, 'close')
      return code === 0
    },
    end: async () => {
      child.kill('SIGTERM')
      await closed
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function generateKey(file: string, type: string): { fingerprint: string; publicKey: string } {
  const made = spawnSync('/usr/bin/ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'test', '-f', file], { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`ssh-keygen: ${made.stderr}`)
  const { stdout } = spawnSync('/usr/bin/ssh-keygen', ['-l', '-f', `${file}.pub`], { encoding: 'utf8' })
  return { fingerprint: stdout.split(' ')[1] ?? '', publicKey: readFileSync(`${file}.pub`, 'utf8').trim() }
}

/** Starts a program that sees another stack of PAM, and a copy of what PAM remembers; its mounts end with it. */
function withPam(folder: string, stack: string): string[] {
  writeFileSync(path.join(folder, 'pam'), stack)
  cpSync('/etc/security', path.join(folder, 'security'), { recursive: true })
  const mounts = `mount --bind '${folder}/pam' /etc/pam.d/chpasswd && mount --bind '${folder}/pam' /etc/pam.d/passwd && mount --bind '${folder}/security' /etc/security && exec "$@"`
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', mounts, 'sh']
}

/** Since 9.8 it shuts out an address that fails often; before, it does not know the word. */
function leniency(): Record<string, string> {
  const [, major = '0', minor = '0'] = /OpenSSH_(\d+)\.(\d+)/.exec(spawnSync(program, ['-V'], { encoding: 'utf8' }).stderr) ?? []
  return Number(major) * 100 + Number(minor) >= 908 ? { PerSourcePenalties: 'no' } : {}
}

async function untilListening(port: number, died: () => string | undefined): Promise<void> {
  for (;;) {
    const words = died()
    if (words !== undefined) throw new Error(`sshd ended: ${words}`)
    const socket = connect(port, '127.0.0.1')
    const isUp = await Promise.race([
      once(socket, 'data').then(() => true),
      once(socket, 'error').then(() => false),
      once(socket, 'close').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isUp) return
    await sleep(20)
  }
}
