import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

/** Real accounts of this machine, for the tests of one process. */
export interface LinuxAccounts {
  /**
   * Makes an account that logs in by this password, or without one when it is empty; `sudo`: it may run chpasswd as root, or
   * anything as anybody; `home`: a folder of its own, which only it may enter.
   */
  readonly create: (settings?: {
    readonly sudo?: boolean | 'anything'
    readonly shell?: string
    readonly password?: string
    readonly home?: boolean
  }) => LinuxAccount
  /** Sets a password behind everybody's back. */
  readonly set: (account: Pick<LinuxAccount, 'username' | 'password'>) => void
  readonly end: () => void
}

export interface LinuxAccount {
  readonly username: string
  readonly password: string
  /** `/` without a folder of its own. */
  readonly home: string
}

const prefix = 'lht-'
const sudoers = '/etc/sudoers.d'
/** World-readable on the way, as sshd wants it. */
const homes = '/tmp'

export function openLinuxAccounts(): LinuxAccounts {
  sweep()
  const made: string[] = []
  return {
    create: ({ sudo = false, shell = '/bin/sh', password = randomBytes(12).toString('base64url'), home = false } = {}) => {
      // The name says whose it is, so that a later run can tell what a killed one left.
      const username = `${prefix}${process.pid}-${randomBytes(4).toString('hex')}`
      const folder = home ? `${homes}/${username}` : '/'
      run('useradd', [home ? '--create-home' : '--no-create-home', '--no-user-group', '--home-dir', folder, '--shell', shell, username])
      if (home) chmodSync(folder, 0o700)
      made.push(username)
      if (password === '') run('passwd', ['--quiet', '--delete', username])
      else set({ username, password })
      if (sudo) {
        const chpasswd = ['/usr/sbin/chpasswd', '/sbin/chpasswd'].find(existsSync)
        const right = sudo === 'anything' ? 'ALL=(ALL) NOPASSWD: ALL' : `ALL=(root) NOPASSWD: ${chpasswd}`
        writeFileSync(`${sudoers}/${username}`, `${username} ${right}\n`, { mode: 0o440 })
      }
      return { username, password, home: folder }
    },
    set,
    end: () => made.splice(0).forEach(remove),
  }
}

const set = ({ username, password }: Pick<LinuxAccount, 'username' | 'password'>): void => run('chpasswd', [], `${username}:${password}\n`)

/** Removes what runs that were killed could not remove. */
function sweep(): void {
  const names = [...readFileSync('/etc/passwd', 'utf8').matchAll(/^[^:]+/gm)].map(([name]) => name)
  for (const name of new Set([...names, ...readdirSync(sudoers)])) {
    const [, pid] = new RegExp(`^${prefix}(\\d+)-`).exec(name) ?? []
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) remove(name)
  }
}

function remove(username: string): void {
  rmSync(`${sudoers}/${username}`, { force: true })
  // Its last login may not be quite over.
  spawnSync('/usr/sbin/userdel', ['--force', username])
  rmSync(`${homes}/${username}`, { recursive: true, force: true })
}

function run(program: string, args: readonly string[], input = ''): void {
  const { status, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8' })
  if (error !== undefined || status !== 0) throw new Error(`${program}: ${error?.message ?? stderr}`)
}
