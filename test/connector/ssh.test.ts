import { setTimeout as sleep } from 'node:timers/promises'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { sshAdapter } from '#connector/adapters/ssh.ts'
import { sshdMissing } from '../support/sshd.ts'
import { everyAdapter } from './conformance.ts'
import { targetOf, useSsh } from './ssh-world.ts'

const ssh = useSsh()
const { set, logIn, sshdWith, proxied } = ssh
const inTime = (): number => 20_000

everyAdapter(
  'ssh',
  () => ({
    adapter: sshAdapter,
    at: ssh.at(),
    admin: ssh.admin(),
    create: async (username) => (username === undefined ? ssh.accounts().create() : undefined),
    logsIn: ({ username, password }) => ssh.sshd().logsIn(username, password),
    impostors: [`SHA256:${'A'.repeat(43)}`, ecdsaLine, ''].map((hostKey) => ({ ...ssh.at(), parameters: { hostKey } })),
    impostorClass: 'host-key-mismatch',
    changesItself: true,
    refusedValue: async (account) => {
      const modules = globSync(['/lib', '/usr/lib', '/usr/lib64', '/lib/*', '/usr/lib/*'].map((place) => `${place}/security/pam_pwhistory.so`))
      if (modules.length === 0) return 'pam_pwhistory is not installed'
      const stack = 'password requisite pam_pwhistory.so remember=5 enforce_for_root\npassword required pam_unix.so use_authtok yescrypt\n'
      const strict = targetOf(await sshdWith({}, '', stack))
      expect(await set(account.username, 'used once', {}, strict)).toEqual({ change: 'applied' })
      return { at: strict, as: ssh.admin(), password: account.password, current: 'used once' }
    },
  }),
  sshdMissing(),
)

describe('a change', () => {
  test.each(['ed25519', 'ecdsa', 'rsa'] as const)('is made by an admin with a private key (%s)', async (type) => {
    const [account, keyed] = [ssh.accounts().create(), ssh.accounts().create({ sudo: true })]
    const as = { username: keyed.username, password: ssh.sshd().makeKey(keyed.username, type) }
    expect(await set(account.username, 'set by key', { as })).toEqual({ change: 'applied' })
    expect(await ssh.sshd().logsIn(account.username, 'set by key')).toBe(true)
  })

  test('is made by root without sudo', async () => {
    const account = ssh.accounts().create()
    const as = { username: 'root', password: ssh.sshd().makeKey('root', 'ed25519') }
    expect(await set(account.username, 'set by root', { as })).toEqual({ change: 'applied' })
    expect(await set('lht-nobody', 'x', { as })).toEqual({ change: 'unchanged', reasonClass: 'refused' })
    expect(await ssh.sshd().logsIn(account.username, 'set by root')).toBe(true)
  })

  test('never shows the value to other processes, not even while chpasswd works', async () => {
    const account = ssh.accounts().create()
    const canary = 'canary-in-no-argument'
    const seen = new Set<string>()
    const told: string[] = []
    // sudo's child lives for milliseconds: the look counts once it has been seen.
    for (let round = 0; round < 20 && !seen.has('chpasswd'); round += 1) {
      let isOver = false
      const changing = set(account.username, canary).finally(() => (isOver = true))
      while (!isOver) {
        for (const { command, environment } of processes()) {
          if (command.includes('chpasswd')) seen.add(command)
          if (`${command}${environment}`.includes(canary)) told.push(command)
        }
        await sleep(1)
      }
      expect(await changing).toEqual({ change: 'applied' })
    }
    expect([...seen]).toContain('chpasswd')
    expect(told).toEqual([])
  })

  test('by an account that may not run chpasswd is denied', async () => {
    const [account, powerless] = [ssh.accounts().create(), ssh.accounts().create()]
    const refused = (reasonClass: string) => ({ change: 'unchanged', reasonClass })
    expect(await set(account.username, 'x', { as: powerless })).toEqual(refused('denied'))
    expect(await ssh.sshd().logsIn(account.username, account.password)).toBe(true)
  })

  test('repeats nothing that the target says', async () => {
    const account = ssh.accounts().create()
    const echo = await sshdWith({ ForceCommand: '/bin/sh -c "tee /dev/stderr; id; exit 1"' })
    const outcome = await set(account.username, 'canary-echoed', {}, targetOf(echo))
    expect(outcome).toEqual({ change: 'unchanged', reasonClass: 'denied' })
  })

  test('is not asked for with a name or value that is more than one line, or by a key that is none', async () => {
    const account = ssh.accounts().create()
    const { proxy, target } = await proxied()
    await proxy.set('closed')
    const attempts: [string, string][] = [
      ['a:b', 'x'],
      [`a\nroot`, 'x'],
      ['a\u0000', 'x'],
      ['a\u0085', 'x'],
      ['', 'x'],
      [account.username, 'x\nroot:y'],
    ]
    const unsupported = { change: 'unchanged', reasonClass: 'unsupported' }
    for (const [username, password] of attempts)
      expect([username, password, await set(username, password, {}, target)]).toEqual([username, password, unsupported])
    expect(await set(account.username, 'x', { as: { ...ssh.admin(), password: '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n' } }, target)).toEqual(unsupported)
    // What is supported gets further than that.
    expect(await set(account.username, 'x', {}, target)).toEqual({ change: 'unchanged', reasonClass: 'unreachable' })
  })
})

describe('when time runs out', () => {
  test('what arrives long after it was sent finds nobody', { timeout: 40_000 }, async () => {
    const account = ssh.accounts().create()
    const { proxy, target } = await proxied()
    const released = Promise.withResolvers<void>()
    const beforeSend = (): number => {
      void proxy.set('stall')
      setTimeout(() => void proxy.set('pass').then(released.resolve), 6_000)
      return inTime()
    }
    expect(await set(account.username, 'too old', { beforeSend }, target)).toEqual({ change: 'unknown', reasonClass: 'interrupted' })
    await released.promise
    expect(await ssh.sshd().logsIn(account.username, 'too old')).toBe(false)
    expect(await ssh.sshd().logsIn(account.username, account.password)).toBe(true)
  })

  test('nothing is sent so close to the deadline that it might be read after it', async () => {
    const account = ssh.accounts().create()
    expect(await set(account.username, 'late', { beforeSend: () => 1_000 })).toEqual({ change: 'unchanged', reasonClass: 'late' })
    expect(await ssh.sshd().logsIn(account.username, account.password)).toBe(true)
  })
})

describe('the host key', () => {
  test('may be pinned as a fingerprint or as a public key, each of them alone', async () => {
    const [ed25519, rsa] = ssh.sshd().hostKeys
    for (const hostKey of [ed25519?.fingerprint, ed25519?.publicKey, rsa?.publicKey, `${rsa?.fingerprint}\n${ed25519?.fingerprint}`]) {
      expect([hostKey, await logIn(ssh.admin().username, ssh.admin().password, { ...ssh.at(), parameters: { hostKey } })]).toEqual([
        hostKey,
        { login: 'accepted' },
      ])
    }
  })

  test('that is another one ends everything before anybody is authenticated', async () => {
    const other = await sshdWith()
    const [ed25519, rsa] = ssh.sshd().hostKeys
    const asked = (): number => other.log().split('userauth-request').length - 1
    for (const hostKey of [ed25519?.fingerprint, ed25519?.publicKey, rsa?.publicKey, '', undefined, 'SHA256:nonsense']) {
      const target = { ...targetOf(other), parameters: { hostKey } }
      expect([hostKey, await logIn(ssh.admin().username, ssh.admin().password, target)]).toEqual([
        hostKey,
        { login: 'unclear', reasonClass: 'host-key-mismatch' },
      ])
      expect([hostKey, await set('lht-nobody', 'x', {}, target)]).toEqual([hostKey, { change: 'unchanged', reasonClass: 'host-key-mismatch' }])
    }
    const ecdsa = { ...targetOf(other), parameters: { hostKey: ecdsaLine } }
    expect(await logIn(ssh.admin().username, ssh.admin().password, ecdsa)).toEqual({ login: 'unclear', reasonClass: 'host-key-mismatch' })
    expect(asked()).toBe(0)
    expect(await logIn(ssh.admin().username, ssh.admin().password, targetOf(other))).toEqual({ login: 'accepted' })
    expect(asked()).toBe(2)
  })
})

const ecdsaLine =
  'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg='

/** Everything that any user of this machine can see of its processes, and the environments that root can see. */
function processes(): { command: string; environment: string }[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .map((pid) => ({ command: readProc(pid, 'cmdline').trim(), environment: readProc(pid, 'environ') }))
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1').replaceAll('\0', ' ')
  } catch {
    // It ended in between.
    return ''
  }
}
