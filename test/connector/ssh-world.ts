import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import type { Change, ChangeOutcome, Login, LoginOutcome, Target } from '#connector/adapters/adapter.ts'
import { sshAdapter } from '#connector/adapters/ssh.ts'
import { startCutProxy, type CutProxy } from '../support/cut-proxy.ts'
import { openLinuxAccounts, type LinuxAccounts } from '../support/linux-accounts.ts'
import { sshdMissing, startSshd, type TestSshd } from '../support/sshd.ts'

/** A real sshd with real accounts for the tests of one file, which are skipped by name where it cannot run. */
export interface SshWorld {
  readonly sshd: () => TestSshd
  readonly accounts: () => LinuxAccounts
  /** An account that may run chpasswd by sudo. */
  readonly admin: () => Login
  readonly at: () => Target
  readonly set: (username: string, password: string, more?: Partial<Change>, target?: Target) => Promise<ChangeOutcome>
  readonly logIn: (username: string, password: string, target?: Target) => Promise<LoginOutcome>
  /** Another sshd, for this test alone. */
  readonly sshdWith: (...options: Parameters<typeof startSshd>) => Promise<TestSshd>
  /** A proxy in front of this target, else of the one of all tests. */
  readonly proxied: (target?: Target) => Promise<{ proxy: CutProxy; target: Target }>
  /** Runs after this test. */
  readonly later: (end: () => unknown) => void
}

export const targetOf = ({ address, port, hostKeys }: TestSshd): Target => ({
  address,
  port,
  parameters: { hostKey: hostKeys.map(({ fingerprint }) => fingerprint).join('\n') },
})

export function useSsh(): SshWorld {
  const missing = sshdMissing()
  const ends: (() => unknown)[] = []
  let sshd: TestSshd
  let accounts: LinuxAccounts
  let admin: Login
  let at: Target
  beforeAll(async () => {
    if (missing !== undefined) return
    accounts = openLinuxAccounts()
    sshd = await startSshd()
    admin = accounts.create({ sudo: true })
    at = targetOf(sshd)
  })
  afterAll(async () => {
    await sshd?.end()
    accounts?.end()
  })
  beforeEach((context) => context.skip(missing !== undefined, missing))
  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
  })
  return {
    sshd: () => sshd,
    accounts: () => accounts,
    admin: () => admin,
    at: () => at,
    set: (username, password, more = {}, target = at) => sshAdapter.change(target, { as: admin, username, password, beforeSend: () => 20_000, ...more }),
    logIn: (username, password, target = at) => sshAdapter.logIn(target, { username, password }),
    sshdWith: async (...options) => {
      const other = await startSshd(...options)
      ends.push(other.end)
      return other
    },
    proxied: async (target = at) => {
      const proxy = await startCutProxy({ host: target.address, port: target.port })
      ends.push(proxy.end)
      return { proxy, target: { ...target, port: proxy.port } }
    },
    later: (end) => void ends.push(end),
  }
}
