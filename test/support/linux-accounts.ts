import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

/** Real accounts of this machine, for the tests of one process. */
export interface LinuxAccounts {
  /** Makes an account that logs in by this password, or without one when it is empty; `sudo`: it may run chpasswd as root. */
  readonly create: (settings?: { readonly sudo?: boolean; readonly shell?: string; readonly password?: string }) => LinuxAccount
  readonly end: () => void
}

export interface LinuxAccount {
  readonly username: string
  readonly password: string
}

const prefix = 'lht-'
const sudoers = '/etc/sudoers.d'

export function openLinuxAccounts(): LinuxAccounts {
  sweep()
  const made: string[] = []
  return {
    create: ({ sudo = false, shell = '/bin/sh', password = randomBytes(12).toString('base64url') } = {}) => {
      // The name says whose it is, so that a later run can tell what a killed one left.
      const username = `${prefix}${process.pid}-${randomBytes(4).toString('hex')}`
      run('useradd', ['--no-create-home', '--no-user-group', '--home-dir', '/', '--shell', shell, username])
      made.push(username)
      if (password === '') run('passwd', ['--quiet', '--delete', username])
      else run('chpasswd', [], `${username}:${password}\n`)
      if (sudo) {
        const chpasswd = ['/usr/sbin/chpasswd', '/sbin/chpasswd'].find(existsSync)
        writeFileSync(`${sudoers}/${username}`, `${username} ALL=(root) NOPASSWD: ${chpasswd}\n`, { mode: 0o440 })
      }
      return { username, password }
    },
    end: () => made.splice(0).forEach(remove),
  }
}

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
}

function run(program: string, args: readonly string[], input = ''): void {
  const { status, stderr, error } = spawnSync(program, args, { input, encoding: 'utf8' })
  if (error !== undefined || status !== 0) throw new Error(`${program}: ${error?.message ?? stderr}`)
}
