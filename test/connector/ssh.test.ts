import { setTimeout as sleep } from 'node:timers/promises'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Login } from '#connector/adapters/adapter.ts'
import { sshAdapter } from '#connector/adapters/ssh.ts'
import { runJob } from '#connector/run-job.ts'
import type { SealedJob } from '#schemas/connector-message.ts'
import { freePort } from '../support/free-port.ts'
import { targetOf, useSsh } from './ssh-world.ts'

const ssh = useSsh()
const { set, logIn, sshdWith, proxied } = ssh
const inTime = (): number => 20_000

describe('a change', () => {
  test('is made by an admin through sudo: the new value logs in and the old one is refused', async () => {
    const account = ssh.accounts().create()
    expect(await set(account.username, 'new value 1')).toEqual({ change: 'applied' })
    expect(await logIn(account.username, 'new value 1')).toEqual({ login: 'accepted' })
    expect(await logIn(account.username, account.password)).toEqual({ login: 'rejected' })
    expect(await ssh.sshd().logsIn(account.username, 'new value 1')).toBe(true)
    expect(await ssh.sshd().logsIn(account.username, account.password)).toBe(false)
  })

  test('may set what is set already', async () => {
    const account = ssh.accounts().create()
    expect(await set(account.username, account.password)).toEqual({ change: 'applied' })
    expect(await logIn(account.username, account.password)).toEqual({ login: 'accepted' })
  })

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

  test('takes every printable character for itself', async () => {
    const account = ssh.accounts().create()
    const all = String.fromCharCode(...Array.from({ length: 95 }, (_, index) => index + 32))
    for (const password of [all, '  two blanks around  ', `-e $(id) \`id\` ';"\\n %s #!`, ':::']) {
      expect(await set(account.username, password)).toEqual({ change: 'applied' })
      expect([password, await logIn(account.username, password), await ssh.sshd().logsIn(account.username, password)]).toEqual([
        password,
        { login: 'accepted' },
        true,
      ])
    }
  })

  test('never shows the value to other processes, not even while chpasswd works', async () => {
    const account = ssh.accounts().create()
    const canary = 'canary-in-no-argument'
    let isOver = false
    const changing = set(account.username, canary).finally(() => (isOver = true))
    const seen = new Set<string>()
    const told: string[] = []
    while (!isOver) {
      for (const { command, environment } of processes()) {
        if (command.includes('chpasswd')) seen.add(command)
        if (`${command}${environment}`.includes(canary)) told.push(command)
      }
      await sleep(1)
    }
    expect(await changing).toEqual({ change: 'applied' })
    // sudo's child ran while we looked, so it would have been found.
    expect([...seen]).toContain('chpasswd')
    expect(told).toEqual([])
  })

  test('that the target refuses is definite, with a class and without its words', async () => {
    const [account, powerless] = [ssh.accounts().create(), ssh.accounts().create()]
    const refused = (reasonClass: string) => ({ change: 'unchanged', reasonClass })
    expect(await set(account.username, 'x', { as: { ...ssh.admin(), password: 'wrong' } })).toEqual(refused('denied'))
    expect(await set(account.username, 'x', { as: powerless })).toEqual(refused('denied'))
    expect(await set('lht-nobody', 'x')).toEqual(refused('refused'))
    expect(await ssh.sshd().logsIn(account.username, account.password)).toBe(true)
  })

  test("that PAM's memory of old passwords refuses is refused by policy, and the next value is taken", async (context) => {
    const modules = globSync(['/lib', '/usr/lib', '/usr/lib64', '/lib/*', '/usr/lib/*'].map((place) => `${place}/security/pam_pwhistory.so`))
    context.skip(modules.length === 0, 'pam_pwhistory is not installed')
    const account = ssh.accounts().create()
    const stack = 'password requisite pam_pwhistory.so remember=5 enforce_for_root\npassword required pam_unix.so use_authtok yescrypt\n'
    const at = targetOf(await sshdWith({}, '', stack))
    for (const password of ['first value 1', 'second value 2']) expect(await set(account.username, password, {}, at)).toEqual({ change: 'applied' })
    const refused = { change: 'unchanged', reasonClass: 'policy-refused' }
    for (let again = 0; again < 2; again += 1) expect(await set(account.username, 'first value 1', {}, at)).toEqual(refused)
    expect(await logIn(account.username, 'second value 2')).toEqual({ login: 'accepted' })
    expect(await set(account.username, 'third value 3', {}, at)).toEqual({ change: 'applied' })
  })

  test('repeats nothing that the target says', async () => {
    const account = ssh.accounts().create()
    const echo = await sshdWith({ ForceCommand: '/bin/sh -c "tee /dev/stderr; id; exit 1"' })
    const outcome = await set(account.username, 'canary-echoed', {}, targetOf(echo))
    expect(outcome).toEqual({ change: 'unchanged', reasonClass: 'denied' })
  })

  test('is not asked for with a name or value that is more than one line, or by the account itself', async () => {
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
      [account.username, 'x\u0000'],
      [account.username, 'x\r'],
      [account.username, 'pässword'],
      [account.username, ''],
    ]
    const unsupported = { change: 'unchanged', reasonClass: 'unsupported' }
    for (const [username, password] of attempts)
      expect([username, password, await set(username, password, {}, target)]).toEqual([username, password, unsupported])
    expect(await set(account.username, 'x', { as: account }, target)).toEqual(unsupported)
    expect(await set(account.username, 'x', { as: { ...ssh.admin(), password: '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n' } }, target)).toEqual(unsupported)
    // What is supported gets further than that.
    expect(await set(account.username, 'x', {}, target)).toEqual({ change: 'unchanged', reasonClass: 'unreachable' })
  })
})

describe('when the connection fails', () => {
  test('an unreachable host has changed nothing, and no login was judged', async () => {
    const target = { ...ssh.at(), port: await freePort() }
    expect(await set('lht-nobody', 'x', {}, target)).toEqual({ change: 'unchanged', reasonClass: 'unreachable' })
    expect(await logIn(ssh.admin().username, ssh.admin().password, target)).toEqual({ login: 'unclear', reasonClass: 'unreachable' })
  })

  test('a change that was sent into a dying connection is unknown', async () => {
    const account = ssh.accounts().create()
    const { proxy, target } = await proxied()
    const beforeSend = (): number => {
      void proxy.set('closed')
      return inTime()
    }
    expect(await set(account.username, 'never arrived', { beforeSend }, target)).toEqual({ change: 'unknown', reasonClass: 'interrupted' })
    expect(await ssh.sshd().logsIn(account.username, account.password)).toBe(true)
  })

  test('a change whose answer was lost is unknown, and the job proves that it was made', async () => {
    const account = ssh.accounts().create()
    const { proxy, target } = await proxied()
    const steps: string[] = []
    const working = runJob(jobFor(account, 'made, unheard'), {
      adapters: { ssh: { ...sshAdapter, change: (_, change) => sshAdapter.change(target, change) } },
      allowList: { allows: () => true },
      remaining: inTime,
      step: (state) => {
        steps.push(state)
        void proxy.set('mute')
      },
    })
    while (!(await ssh.sshd().logsIn(account.username, 'made, unheard'))) await sleep(50)
    await proxy.set('closed')
    expect(await working).toEqual({ outcome: 'confirmed', reasonClass: null, stagedLogsIn: true, knownLogsIn: null })
    expect(steps).toEqual(['applying'])
  })

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

  test('nothing is sent after the deadline, nor so close to it that it might be read after it', async () => {
    const account = ssh.accounts().create()
    for (const left of [0, -1, 1_000]) {
      expect(await set(account.username, 'late', { beforeSend: () => left })).toEqual({ change: 'unchanged', reasonClass: 'late' })
    }
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

const jobFor = (account: Login, staged: string): SealedJob => ({
  v: 1,
  jobId: '0198c0de-0000-7000-8000-000000000001' as SealedJob['jobId'],
  epoch: 1,
  connectorId: '0198c0de-0000-7000-8000-000000000002' as SealedJob['connectorId'],
  kind: 'reset',
  deadlineMs: 30_000,
  target: { ...ssh.at(), adapter: 'ssh' },
  account: { username: account.username },
  staged,
  known: account.password,
  admin: ssh.admin(),
  macKey: 'A'.repeat(43),
  macKeyId: 'o1',
})

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
