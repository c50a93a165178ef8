import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Change, Login, Target } from '#connector/adapters/adapter.ts'
import { sshKeyAdapter } from '#connector/adapters/ssh-key.ts'
import { runJob } from '#connector/run-job.ts'
import type { SealedJob } from '#schemas/connector-message.ts'
import { generateSshKey } from '#secrets/ssh-key-pair.ts'
import { startCutProxy } from '../support/cut-proxy.ts'
import { openLinuxAccounts, type LinuxAccount, type LinuxAccounts } from '../support/linux-accounts.ts'
import { sshdMissing, startSshd, type TestSshd } from '../support/sshd.ts'
import { targetOf } from './ssh-world.ts'

const missing = sshdMissing()
let accounts: LinuxAccounts
let sshd: TestSshd
let admin: Login
let at: Target
beforeAll(async () => {
  if (missing !== undefined) return
  accounts = openLinuxAccounts()
  sshd = await startSshd({ AuthorizedKeysFile: '.ssh/authorized_keys', StrictModes: 'yes' })
  admin = accounts.create({ sudo: 'anything' })
  at = targetOf(sshd)
})
afterAll(async () => {
  await sshd?.end()
  accounts?.end()
})
beforeEach((context) => context.skip(missing !== undefined, missing))

const inTime = (): number => 20_000
const keyPair = () => {
  const { value, publicKey } = generateSshKey()
  return { private: value.expose(), line: publicKey }
}
const foreign = `# kept\n\nssh-rsa AAAAB3NzaC1yc2EAAAADAQAB somebody@else\r\n\tno-pty,command="a b" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 x\n`

interface Keyed extends LinuxAccount {
  readonly file: string
  readonly known: ReturnType<typeof keyPair>
  readonly next: ReturnType<typeof keyPair>
}

/** An account that logs in by a key, beside lines that are none of ours. */
function keyed({ options = '', mode = 0o640, shell = '/bin/sh' } = {}): Keyed {
  const account = accounts.create({ home: true, shell })
  const folder = path.join(account.home, '.ssh')
  const [file, known] = [path.join(folder, 'authorized_keys'), keyPair()]
  mkdirSync(folder, { mode: 0o700 })
  writeFileSync(file, `${foreign}${options}${known.line} ops\n# end`)
  chmodSync(file, mode)
  const { uid, gid } = statSync(account.home)
  for (const place of [folder, file]) chownSync(place, uid, gid)
  return { ...account, file, known, next: keyPair() }
}

const textOf = (account: Keyed): string => readFileSync(account.file, 'latin1')
const logIn = ({ username }: Login, key: { private: string }) => sshKeyAdapter.logIn(at, { username, password: key.private })
const change = (account: Keyed, more: Partial<Change> = {}, target = at) =>
  sshKeyAdapter.change(target, {
    as: admin,
    username: account.username,
    password: account.next.private,
    known: account.known.private,
    beforeSend: inTime,
    ...more,
  })
const accepted = { login: 'accepted' }
const rejected = { login: 'rejected' }

const job = (account: Keyed, more: Partial<SealedJob> = {}): SealedJob => ({
  v: 1,
  jobId: '0198c0de-0000-7000-8000-000000000001' as SealedJob['jobId'],
  epoch: 1,
  connectorId: '0198c0de-0000-7000-8000-000000000002' as SealedJob['connectorId'],
  kind: 'reset',
  deadlineMs: 30_000,
  target: { ...at, adapter: 'ssh-key' },
  account: { username: account.username },
  staged: account.next.private,
  known: account.known.private,
  admin,
  macKey: 'A'.repeat(43),
  macKeyId: 'o1',
  ...more,
})
const tools = { adapters: { 'ssh-key': sshKeyAdapter }, allowList: { allows: () => true }, remaining: inTime, step: () => {} }
const swapped = { outcome: 'confirmed', reasonClass: null, stagedLogsIn: true, knownLogsIn: false }

describe('a swap of keys', () => {
  test('adds, logs in with the new key, removes the old one, and keeps other lines, owner and mode', async () => {
    const account = keyed({ options: 'no-pty,environment="A=b c" ' })
    const before = statSync(account.file)
    // What a machine that died in the middle of it left behind.
    writeFileSync(`${account.file}.leasehold-0123`, 'left')
    chownSync(`${account.file}.leasehold-0123`, before.uid, before.gid)
    expect(await runJob(job(account), tools)).toEqual(swapped)
    expect(textOf(account)).toBe(`${foreign}no-pty,environment="A=b c" ${account.next.line} ops\n# end`)
    expect([await logIn(account, account.next), await logIn(account, account.known)]).toEqual([accepted, rejected])
    const after = statSync(account.file)
    expect([after.uid, after.gid, after.mode]).toEqual([before.uid, before.gid, before.mode])
    expect(readdirSync(path.dirname(account.file))).toEqual(['authorized_keys'])
  })

  test('is made by the account itself where there is no admin', async () => {
    const account = keyed()
    expect(await runJob(job(account, { admin: null }), tools)).toEqual(swapped)
    expect(textOf(account)).toBe(`${foreign}${account.next.line} ops\n# end`)
  })

  test('is made where the account may run no command, by an admin and by root without sudo', async () => {
    const account = keyed({ shell: '/usr/sbin/nologin' })
    expect(await runJob(job(account), tools)).toEqual(swapped)
    expect(await runJob(job({ ...account, known: account.next, next: keyPair() }, { admin: null }), tools)).toMatchObject({ reasonClass: 'denied' })
    const other = await startSshd()
    try {
      const as = { username: 'root', password: other.makeKey('root', 'ed25519') }
      const third = { ...account, known: account.next, next: keyPair() }
      expect(await change(third, { as }, targetOf(other))).toEqual({ change: 'applied' })
      expect(await logIn(third, third.next)).toEqual(accepted)
    } finally {
      await other.end()
    }
  })

  test('is made in a folder of the system where sshd reads keys there', async () => {
    const [account, keep] = [keyed(), keyPair()]
    const other = await startSshd()
    try {
      other.makeKey(account.username, 'ed25519')
      const authorizedKeysFile = other.keysFile
      const target = { ...targetOf(other), parameters: { ...targetOf(other).parameters, authorizedKeysFile } }
      const file = authorizedKeysFile.replace('%u', account.username)
      writeFileSync(file, `${keep.line} kept\n${account.known.line} ops\n`)
      expect(await runJob(job(account, { target: { ...target, adapter: 'ssh-key' } }), tools)).toEqual(swapped)
      expect(readFileSync(file, 'utf8')).toBe(`${keep.line} kept\n${account.next.line} ops\n`)
      expect(statSync(file)).toMatchObject({ uid: 0, mode: 0o100644 })
      // What only its own folder holds was not touched.
      expect(textOf(account)).toContain(account.known.line)
    } finally {
      await other.end()
    }
  })

  test('makes the file where an account has none, for that account alone', async () => {
    const account = { ...keyed(), known: keyPair() }
    const bare = accounts.create({ home: true })
    const file = path.join(bare.home, '.ssh/authorized_keys')
    expect(await change({ ...account, ...bare, file })).toEqual({ change: 'applied' })
    expect(readFileSync(file, 'utf8')).toBe(`${account.next.line} leasehold\n`)
    expect([statSync(file).mode & 0o777, statSync(path.dirname(file)).mode & 0o777]).toEqual([0o600, 0o700])
    expect(await logIn(bare, account.next)).toEqual(accepted)
  })

  test('of the only line leaves no empty promise: the file is empty when its last key is taken away', async () => {
    const account = keyed()
    writeFileSync(account.file, `${account.known.line}\n`)
    const removal = { as: admin, username: account.username, password: account.known.private, remaining: inTime }
    expect(await sshKeyAdapter.remove?.(at, removal)).toEqual({ change: 'applied' })
    expect(textOf(account)).toBe('')
  })
})

describe('whatever dies', () => {
  test('before the change was sent: the probe finds the old key, and the file is as it was', async () => {
    const account = keyed()
    const before = textOf(account)
    expect(await runJob(job(account, { kind: 'probe' }), tools)).toMatchObject({ outcome: 'unchanged', stagedLogsIn: false, knownLogsIn: true })
    expect(textOf(account)).toBe(before)
  })

  test('after the new key was added: the probe finds it, and takes the old one away', async () => {
    const account = keyed()
    expect(await change(account)).toEqual({ change: 'applied' })
    expect([await logIn(account, account.next), await logIn(account, account.known)]).toEqual([accepted, accepted])
    expect(await runJob(job(account, { kind: 'probe' }), tools)).toEqual(swapped)
    expect(await logIn(account, account.known)).toEqual(rejected)
  })

  test('after the old key was removed: the probe and the same change again find nothing to do', async () => {
    const account = keyed()
    await runJob(job(account), tools)
    const after = textOf(account)
    for (const kind of ['probe', 'reset'] as const) expect(await runJob(job(account, { kind }), tools)).toEqual(swapped)
    expect(textOf(account)).toBe(after)
  })

  test('while the change is on its way: it is unknown, or it was never made, and the file is whole', async () => {
    const account = keyed()
    const before = textOf(account)
    const proxy = await startCutProxy({ host: at.address, port: at.port })
    const beforeSend = (): number => {
      void proxy.set('closed')
      return inTime()
    }
    expect(await change(account, { beforeSend }, { ...at, port: proxy.port })).toEqual({ change: 'unknown', reasonClass: 'interrupted' })
    await proxy.end()
    expect(textOf(account)).toBe(before)
    expect(await logIn(account, account.known)).toEqual(accepted)
  })

  test('the removal: the new key is proven, the outcome is not, and the next probe goes on', async () => {
    const account = keyed()
    let left = 2
    // The deadline is over when the old line is to be taken away.
    const remaining = (): number => (left-- > 0 ? inTime() : 0)
    expect(await runJob(job(account), { ...tools, remaining })).toEqual({ outcome: 'unknown', reasonClass: 'late', stagedLogsIn: true, knownLogsIn: null })
    expect([await logIn(account, account.next), await logIn(account, account.known)]).toEqual([accepted, accepted])
    expect(await runJob(job(account, { kind: 'probe' }), tools)).toEqual(swapped)
  })
})

describe('a swap that does not come to its end', () => {
  test('is taken back where the new key does not log in: the file is what it was, byte for byte', async () => {
    const account = keyed()
    const before = textOf(account)
    const deaf = await startSshd({ AuthorizedKeysFile: '.ssh/authorized_keys', StrictModes: 'yes', PubkeyAcceptedAlgorithms: 'ecdsa-sha2-nistp256' })
    try {
      // This server takes no Ed25519 keys, so that the new one is added and refused; the old one is ECDSA.
      const known = { private: sshd.makeKey(`${account.username}-known`, 'ecdsa'), line: '' }
      known.line = readFileSync(sshd.keysFile.replace('%u', `${account.username}-known`), 'utf8').trim()
      writeFileSync(account.file, `${before}\n${known.line}\n`)
      const target = { ...targetOf(deaf), adapter: 'ssh-key' }
      const outcome = await runJob(job(account, { target, known: known.private }), tools)
      expect(outcome).toEqual({ outcome: 'unchanged', reasonClass: 'verify-failed', stagedLogsIn: false, knownLogsIn: true })
      expect(textOf(account)).toBe(`${before}\n${known.line}\n`)
    } finally {
      await deaf.end()
    }
  })

  test('because the old key still logs in from another place is never called done', async () => {
    const account = keyed()
    const two = await startSshd({ AuthorizedKeysFile: '.ssh/authorized_keys .ssh/authorized_keys2', StrictModes: 'yes' })
    try {
      writeFileSync(`${account.file}2`, `${account.known.line}\n`)
      const target = { ...targetOf(two), adapter: 'ssh-key' }
      expect(await runJob(job(account, { target }), tools)).toEqual({ outcome: 'unknown', reasonClass: 'verify-failed', stagedLogsIn: true, knownLogsIn: true })
    } finally {
      await two.end()
    }
  })

  test('because somebody else writes the file meanwhile loses nothing of theirs', async () => {
    const account = keyed()
    const beforeSend = (): number => {
      writeFileSync(account.file, `${textOf(account)}\n# theirs\n`)
      return inTime()
    }
    expect(await change(account, { beforeSend })).toEqual({ change: 'unchanged', reasonClass: 'interrupted' })
    expect(textOf(account)).toBe(`${foreign}${account.known.line} ops\n# end\n# theirs\n`)
    expect(readdirSync(path.dirname(account.file))).toEqual(['authorized_keys'])
  })

  test('after the deadline changes nothing', async () => {
    const account = keyed()
    const before = textOf(account)
    for (const left of [0, 1_000]) expect(await change(account, { beforeSend: () => left })).toEqual({ change: 'unchanged', reasonClass: 'late' })
    expect(textOf(account)).toBe(before)
  })
})

describe('what an account may put in the way', () => {
  test('a link to a file of the system makes nobody write there', async () => {
    const account = keyed()
    const victim = accounts.create({ home: true })
    const theirs = path.join(victim.home, 'authorized_keys')
    writeFileSync(theirs, 'theirs\n')
    const { uid, gid } = statSync(victim.home)
    chownSync(theirs, uid, gid)
    for (const place of [theirs, '/etc/motd-of-nobody']) {
      const link = { ...keyed(), ...account }
      rmSync(link.file)
      symlinkSync(place, link.file)
      expect(await change(link)).toEqual({ change: 'unchanged', reasonClass: 'denied' })
    }
    expect(readFileSync(theirs, 'utf8')).toBe('theirs\n')
    expect(existsSync('/etc/motd-of-nobody')).toBe(false)
  })

  test('an admin without the right, a name that a shell reads as its own, and a value that is no key change nothing', async () => {
    const account = keyed()
    const before = textOf(account)
    const powerless = accounts.create({ sudo: true })
    expect(await change(account, { as: powerless })).toEqual({ change: 'unchanged', reasonClass: 'denied' })
    for (const username of ['a b', '$(id)', 'a;id', "a'b", '-a', '../a', 'a/b', '']) {
      expect([username, await change(account, { username })]).toEqual([username, { change: 'unchanged', reasonClass: 'unsupported' }])
    }
    for (const password of ['words', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n']) {
      expect(await change(account, { password })).toEqual({ change: 'unchanged', reasonClass: 'unsupported' })
      expect(await logIn(account, { private: password })).toEqual({ login: 'unclear', reasonClass: 'unsupported' })
    }
    for (const authorizedKeysFile of ['/etc/$(id)', 'a b', '../x', '/a/../b', "x'y", '/etc/%h', '/a/']) {
      const target = { ...at, parameters: { ...at.parameters, authorizedKeysFile } }
      expect([authorizedKeysFile, await change(account, {}, target)]).toEqual([authorizedKeysFile, { change: 'unchanged', reasonClass: 'unsupported' }])
    }
    expect(textOf(account)).toBe(before)
  })
})
