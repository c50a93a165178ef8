import { existsSync, globSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import type { ChangeOutcome, Login, Target } from '#connector/adapters/adapter.ts'
import { targetOf, useSsh } from './ssh-world.ts'

const missing = ['/usr/bin/passwd', '/etc/pam.d/passwd'].filter((file) => !existsSync(file))
const hasModule = (name: string): boolean =>
  globSync(['/lib', '/usr/lib', '/usr/lib64', '/lib/*', '/usr/lib/*'].map((at) => `${at}/security/${name}.so`)).length > 0
const ssh = useSsh()
beforeEach((context) => context.skip(missing.length > 0, `not installed: ${missing.join(', ')}`))

const inTime = (): number => 20_000
const unchanged = (reasonClass: string) => ({ change: 'unchanged', reasonClass })
const unknown = { change: 'unknown', reasonClass: 'interrupted' }
/** The account changes itself. */
const setOwn = (account: Login, password: string, target: Target = ssh.at(), beforeSend = inTime): Promise<ChangeOutcome> =>
  ssh.set(account.username, password, { as: account, beforeSend }, target)
const holds = async (account: Login, password: string): Promise<void> =>
  expect([password, await ssh.sshd().logsIn(account.username, password)]).toEqual([password, true])
const withForced = async (script: string): Promise<Target> => targetOf(await ssh.sshdWith({ ForceCommand: `/bin/sh -c "${script}"` }))

describe('an account that changes itself', () => {
  test('has its new value afterwards and the old one no more, whatever printable characters are in them', async () => {
    const account = ssh.accounts().create()
    let password = account.password
    for (const next of [
      `A -e $(id) \`id\` ';"\\n %s #!~`,
      '  two blanks around and Words  ',
      String.fromCharCode(...Array.from({ length: 95 }, (_, at) => at + 32)),
    ]) {
      expect([next, await setOwn({ ...account, password }, next)]).toEqual([next, { change: 'applied' }])
      await holds(account, next)
      expect(await ssh.sshd().logsIn(account.username, password)).toBe(false)
      password = next
    }
  })

  test('with what it has already has nothing to do', async () => {
    const account = ssh.accounts().create()
    expect(await setOwn(account, account.password)).toEqual({ change: 'applied' })
    await holds(account, account.password)
  })

  test('by another value than its own is not let in', async () => {
    const account = ssh.accounts().create()
    expect(await setOwn({ ...account, password: 'wrong password' }, 'not to be set')).toEqual(unchanged('denied'))
    await holds(account, account.password)
  })

  test('by a key is not supported, because passwd asks for the old password', async () => {
    const account = ssh.accounts().create()
    expect(await setOwn({ ...account, password: ssh.sshd().makeKey(account.username, 'ed25519') }, 'not to be set')).toEqual(unchanged('unsupported'))
  })

  test('is told apart from the rest when the rules of the target refuse the value', async (context) => {
    if (!hasModule('pam_pwhistory')) return context.skip('pam_pwhistory is not installed')
    const account = ssh.accounts().create()
    const stack = 'password requisite pam_pwhistory.so remember=5 retry=3\npassword required pam_unix.so use_authtok yescrypt\n'
    const strict = targetOf(await ssh.sshdWith({}, '', stack))
    expect(await setOwn(account, 'Used once 4711', strict)).toEqual({ change: 'applied' })
    expect(await setOwn({ ...account, password: 'Used once 4711' }, account.password, strict)).toEqual(unchanged('policy-refused'))
    await holds(account, 'Used once 4711')
  })

  test('is told that a value is too short by pam_unix itself', async () => {
    const account = ssh.accounts().create()
    const strict = targetOf(await ssh.sshdWith({}, '', 'password required pam_unix.so minlen=20 yescrypt\n'))
    expect(await setOwn(account, 'Too short 1', strict)).toEqual(unchanged('policy-refused'))
    expect(await setOwn(account, 'Long enough for everybody 1', strict)).toEqual({ change: 'applied' })
    await holds(account, 'Long enough for everybody 1')
  })
})

describe('in the dialogue', () => {
  test('no value is given to a question that is another one', async () => {
    const account = ssh.accounts().create()
    for (const [script, reasonClass] of [
      ['printf \\"One-time code: \\"; read -r code; echo $code >&2; exit 0', 'unreachable'],
      ['printf \\"Current password: \\"; read -r old; printf \\"One-time code: \\"; read -r code; exit 0', 'unsupported'],
      ['printf \\"Retype new password: \\"; read -r code; exit 0', 'unsupported'],
      ['printf \\"Current password: \\"; read -r old; printf \\"Current password: \\"; read -r code; exit 0', 'denied'],
      ['echo \\"passwd: no changes today\\"; exit 1', 'refused'],
    ] as const) {
      const beforeSend = (): number => expect.fail('nothing was to be sent')
      expect([script, await setOwn(account, 'not to be set', await withForced(script), beforeSend)]).toEqual([script, unchanged(reasonClass)])
    }
    await holds(account, account.password)
  }, 60_000)

  test.each([
    ['(current) UNIX password: ', 'Enter new UNIX password: ', 'Retype new UNIX password: '],
    ['Current Password: ', 'New Password: ', 'Reenter new Password: '],
    ['Old password: ', 'New password: ', 'New password (again): '],
  ])('the questions of other systems are known: %s', async (...asked) => {
    const account = ssh.accounts().create()
    const script = asked.map((question) => `printf \\"${question}\\"; read -r x;`).join(' ')
    expect(await setOwn(account, 'not really set', await withForced(`${script} exit 0`))).toEqual({ change: 'applied' })
  })

  test('nothing is said when it is too late, or might be read too late', async () => {
    const account = ssh.accounts().create()
    for (const left of [0, 1_000]) expect(await setOwn(account, 'too late', ssh.at(), () => left)).toEqual(unchanged('late'))
    await holds(account, account.password)
  })

  test('a connection that dies before the change leaves it unknown, and the old value in place', async () => {
    const account = ssh.accounts().create()
    const { proxy, target } = await ssh.proxied()
    const beforeSend = (): number => (void proxy.set('closed'), inTime())
    expect(await setOwn(account, 'never arrived', target, beforeSend)).toEqual(unknown)
    await holds(account, account.password)
  })

  test('a connection that dies after the change leaves it unknown, and the new value in place', async () => {
    const account = ssh.accounts().create()
    const lingering = await ssh.sshdWith({ ForceCommand: '/bin/sh -c "$SSH_ORIGINAL_COMMAND; sleep 20"' })
    const { proxy, target } = await ssh.proxied(targetOf(lingering))
    const changing = setOwn(account, 'Made and unheard 1', target)
    while (!(await ssh.sshd().logsIn(account.username, 'Made and unheard 1'))) await sleep(100)
    await proxy.set('closed')
    expect(await changing).toEqual(unknown)
  }, 30_000)

  test('answers that come long after they were sent find nobody', async () => {
    const account = ssh.accounts().create()
    const { proxy, target } = await ssh.proxied()
    const released = Promise.withResolvers<void>()
    const beforeSend = (): number => {
      void proxy.set('stall')
      setTimeout(() => void proxy.set('pass').then(released.resolve), 9_000)
      return inTime()
    }
    expect(await setOwn(account, 'Too old to count 1', target, beforeSend)).toEqual(unknown)
    await released.promise
    await holds(account, account.password)
  }, 40_000)
})
