import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Target } from '#connector/adapters/adapter.ts'
import { runJob, type JobOutcome } from '#connector/run-job.ts'
import type { ReasonClass, SealedJob } from '#schemas/connector-message.ts'
import { startCutProxy, type CutProxy } from '../support/cut-proxy.ts'
import { freePort } from '../support/free-port.ts'
import { standingStill } from './standing-still.ts'

/** A real target of one kind, for the promises that every adapter keeps. */
export interface ConformanceWorld {
  readonly adapter: Adapter
  readonly at: Target
  readonly admin: Login
  /** Makes an account. @returns undefined: this kind of target has no accounts of that name */
  readonly create: (username?: string) => Promise<Login | undefined>
  /** Whether this password logs in: by another program than the adapter. */
  readonly logsIn: (login: Login) => Promise<boolean>
  /** The same target, which shows another certificate or host key than is asked for. */
  readonly impostors: readonly Target[]
  readonly impostorClass: ReasonClass
  /** Whether accounts can change themselves by this adapter. */
  readonly changesItself: boolean
  /** Whether the target judges the admin by the very request that changes; else by a login before it. */
  readonly judgesWithChange?: boolean
  /** A value that the target's own rules refuse; a text: why the tests cannot give this target rules. */
  readonly refusedValue: (account: Login) => Promise<Refused | string>
}

interface Refused {
  readonly as: Login
  readonly password: string
  /** The target with these rules, if it is another one. */
  readonly at?: Target
  /** What the account has by now. */
  readonly current?: string
}

const oddNames = ['a:b', 'a\nb', `quote'"s`, '-dash', '$(id)', 'ünï-日本', '\u{1f511}key', 'a,b=c+d;<e>', 'back\\slash', '#two  blanks', "x'; drop table y; --"]
const oddValues = ['new\nline', 'nul\u0000', 'carriage\r', 'pässword-too', '']
const printable = String.fromCharCode(...Array.from({ length: 95 }, (_, index) => index + 32))
/** Longer than any adapter waits for the end of what it has sent. */
const inTime = 15_000

/** @param missing why this machine has no such target */
export function everyAdapter(name: string, open: () => ConformanceWorld, missing?: string): void {
  describe(`${name}, as every adapter:`, () => {
    const ends: (() => Promise<void>)[] = []
    beforeEach((context) => context.skip(missing !== undefined, missing))
    afterEach(async () => {
      for (const end of ends.splice(0)) await end()
    })
    const create = async (username?: string): Promise<Login> => (await open().create(username)) as Login
    const set = (account: Pick<Login, 'username'>, password: string, more: Partial<Change> = {}, target = open().at): Promise<ChangeOutcome> =>
      open().adapter.change(target, { as: open().admin, username: account.username, password, beforeSend: () => inTime, ...more })
    const logIn = ({ username }: Login, password: string, target = open().at): Promise<LoginOutcome> => open().adapter.logIn(target, { username, password })
    const holds = async (account: Login, password: string): Promise<void> =>
      expect(await open().logsIn({ ...account, password }), `the value of ${JSON.stringify(account.username)}`).toBe(true)
    const proxied = async (): Promise<{ proxy: CutProxy; target: Target }> => {
      const proxy = await startCutProxy({ host: open().at.address, port: open().at.port })
      ends.push(proxy.end)
      return { proxy, target: { ...open().at, port: proxy.port } }
    }
    const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })
    const unknown: ChangeOutcome = { change: 'unknown', reasonClass: 'interrupted' }

    test('an admin sets a value: the new one logs in and the old one is refused', async () => {
      const account = await create()
      expect(await set(account, 'new value 1')).toEqual({ change: 'applied' })
      expect(await logIn(account, 'new value 1')).toEqual({ login: 'accepted' })
      expect(await logIn(account, account.password)).toEqual({ login: 'rejected' })
      await holds(account, 'new value 1')
      expect(await open().logsIn(account)).toBe(false)
    })

    test('setting what is set already is a success, and so is a job that was done already', async () => {
      const account = await create()
      for (let run = 0; run < 2; run++) expect(await set(account, 'the same value')).toEqual({ change: 'applied' })
      const confirmed = { outcome: 'confirmed', reasonClass: null, stagedLogsIn: true, knownLogsIn: null }
      for (let run = 0; run < 2; run++) expect(await job(open(), account, { staged: 'the same value' })).toEqual(confirmed)
    })

    test('a check is one login: it tells the value that works from another one, and changes nothing', async () => {
      const account = await create()
      const { proxy, target } = await proxied()
      const check = (staged: string): Promise<JobOutcome> => job({ ...open(), at: target }, account, { kind: 'check', staged })
      expect(await check(account.password)).toMatchObject({ outcome: 'confirmed', stagedLogsIn: true })
      expect(await check('of somebody else')).toMatchObject({ outcome: 'unknown', reasonClass: 'denied', stagedLogsIn: false })
      expect(proxy.connections()).toBe(2)
      await holds(account, account.password)
    })

    test('a wrong admin password changes nothing, and nobody is asked whether there is time', async () => {
      const account = await create()
      const beforeSend = (): number => (open().judgesWithChange === true ? inTime : expect.fail('nothing was to be sent'))
      expect(await set(account, 'not to be set', { as: { ...open().admin, password: 'wrong password' }, beforeSend })).toEqual(unchanged('denied'))
      await holds(account, account.password)
    })

    test('an account changes itself by its known value and by no other, or is told that this cannot be', async () => {
      const account = await create()
      const { changesItself } = open()
      const wrong = { ...account, password: 'wrong password' }
      expect(await set(account, 'not to be set', { as: wrong })).toEqual(unchanged(changesItself ? 'denied' : 'unsupported'))
      await holds(account, account.password)
      expect(await set(account, 'chosen by itself', { as: account })).toEqual(changesItself ? { change: 'applied' } : unchanged('unsupported'))
      await holds(account, changesItself ? 'chosen by itself' : account.password)
    })

    test('an account without rights changes no other one', async () => {
      const [account, other] = [await create(), await create()]
      expect(await set(account, 'not to be set', { as: powerless(open(), other) })).toMatchObject({ change: 'unchanged' })
      await holds(account, account.password)
    })

    test('an account that is not there is refused and does not come into being', async () => {
      const absent = { username: 'lht-nobody', password: 'not to be set' }
      expect(await set(absent, absent.password)).toEqual(unchanged('refused'))
      expect((await logIn(absent, absent.password)).login).not.toBe('accepted')
    })

    test('a value that the rules of the target refuse is told apart from the rest, the old one stays, and another one is taken', async (context) => {
      const account = await create()
      const refused = await open().refusedValue(account)
      if (typeof refused === 'string') return context.skip(refused)
      const tried = (password: string): Promise<ChangeOutcome> => set(account, password, { as: refused.as }, refused.at)
      for (let again = 0; again < 2; again++) expect(await tried(refused.password)).toEqual(unchanged('policy-refused'))
      await holds(account, refused.current ?? account.password)
      expect(await tried('another value 3')).toEqual({ change: 'applied' })
    })

    test('every printable character is taken for itself', async () => {
      const account = await create()
      for (const password of [printable, '  two blanks around  ', `-e $(id) \`id\` ';"\\n %s #!`, "::::\\'; --", "\\' or ''=''"]) {
        expect([password, await set(account, password)]).toEqual([password, { change: 'applied' }])
        expect([password, await logIn(account, password)]).toEqual([password, { login: 'accepted' }])
        await holds(account, password)
      }
    })

    test.each(oddValues)('the value %j is refused before anything is dialled', async (password) => {
      const { proxy, target } = await proxied()
      expect(await set({ username: 'lht-nobody' }, password, {}, target)).toEqual(unchanged('unsupported'))
      expect(proxy.connections()).toBe(0)
    })

    test.each(oddNames)('the name %j is taken literally or refused before anything is dialled', async (odd) => {
      const bystander = await create()
      const account = await open().create(`${odd}${bystander.username.slice(-6)}`)
      const { proxy, target } = await proxied()
      const outcome = await set(account ?? { username: odd }, 'odd but set', {}, target)
      if (outcome.change !== 'applied') {
        expect(outcome).toEqual(proxy.connections() === 0 ? unchanged('unsupported') : unchanged('refused'))
        expect([odd, account !== undefined && proxy.connections() > 0]).toEqual([odd, false])
      } else {
        await holds(account as Login, 'odd but set')
        expect(await logIn(account as Login, 'odd but set')).toEqual({ login: 'accepted' })
        expect(await open().logsIn(account as Login)).toBe(false)
      }
      await holds(bystander, bystander.password)
    })

    test.each(['nul\u0000', 'half a character \ud800'])('the name %j, which no target has, changes nothing', async (username) => {
      const outcome = await set({ username }, 'not to be set')
      expect([unchanged('unsupported'), unchanged('refused')]).toContainEqual(outcome)
    })

    test('a target that cannot be reached has changed nothing and judged nobody', async () => {
      const target = { ...open().at, port: await freePort() }
      expect(await set({ username: 'lht-nobody' }, 'not to be set', {}, target)).toEqual(unchanged('unreachable'))
      expect(await logIn(open().admin, open().admin.password, target)).toEqual({ login: 'unclear', reasonClass: 'unreachable' })
    })

    test('a target that says nothing is given up', async () => {
      const { proxy, target } = await proxied()
      await proxy.set('freeze')
      const [changed, logged] = await Promise.all([set({ username: 'lht-nobody' }, 'not to be set', {}, target), logIn(open().admin, 'x', target)])
      expect([changed, logged]).toEqual([unchanged('unreachable'), { login: 'unclear', reasonClass: 'unreachable' }])
    })

    test('a target with another certificate or host key is told nothing and judges nobody', async () => {
      const account = await create()
      const reasonClass = open().impostorClass
      for (const impostor of open().impostors) {
        expect(await set(account, 'not to be set', {}, impostor)).toEqual(unchanged(reasonClass))
        expect(await logIn(account, account.password, impostor)).toEqual({ login: 'unclear', reasonClass })
      }
      await holds(account, account.password)
    })

    test('nothing is sent when it is too late, and the question comes once, after the admin is in', async () => {
      const account = await create()
      for (const left of [0, -1]) {
        let asked = 0
        expect(await set(account, 'too late', { beforeSend: () => (asked++, left) })).toEqual(unchanged('late'))
        expect(asked).toBe(1)
      }
      await holds(account, account.password)
    })

    test('a connection that dies before the change arrives leaves it unknown, and the old value in place', async () => {
      const account = await create()
      const { proxy, target } = await proxied()
      const beforeSend = (): number => (void proxy.set('closed'), inTime)
      expect(await set(account, 'never arrived', { beforeSend }, target)).toEqual(unknown)
      await holds(account, account.password)
    })

    test('a connection that dies after the change was made leaves it unknown, and the job proves it', async () => {
      const account = await create()
      const { proxy, target } = await proxied()
      const steps: string[] = []
      const adapter = { ...open().adapter, change: (_: Target, change: Change) => open().adapter.change(target, change) }
      const working = job({ ...open(), adapter }, account, { staged: 'made, unheard' }, (step) => {
        steps.push(step)
        void proxy.set('mute')
      })
      while (!(await open().logsIn({ ...account, password: 'made, unheard' }))) await sleep(50)
      await proxy.set('closed')
      expect(await working).toEqual({ outcome: 'confirmed', reasonClass: null, stagedLogsIn: true, knownLogsIn: null })
      expect(steps).toEqual(['applying'])
    })

    test('a change that is never answered is unknown within the time that was left', async () => {
      const account = await create()
      const { proxy, target } = await proxied()
      const begun = performance.now()
      const beforeSend = (): number => (void proxy.set('freeze'), 6_000)
      expect(await set(account, 'never arrived', { beforeSend }, target)).toEqual(unknown)
      expect(performance.now() - begun).toBeLessThan(9_000)
      await holds(account, account.password)
    })

    standingStill(open)

    test('a job tries at most two logins to find out, over one connection each', async () => {
      const account = await create()
      const { proxy, target } = await proxied()
      const neither = { outcome: 'unknown', reasonClass: 'unverified', stagedLogsIn: false, knownLogsIn: false }
      expect(await job({ ...open(), at: target }, account, { kind: 'probe', staged: 'not this one', known: 'nor this one' })).toEqual(neither)
      expect(proxy.connections()).toBe(2)
      const old = { outcome: 'unchanged', stagedLogsIn: false, knownLogsIn: true }
      expect(await job({ ...open(), at: target }, account, { kind: 'probe', staged: 'not this one' })).toMatchObject(old)
      expect(proxy.connections()).toBe(4)
      expect(await job({ ...open(), at: target }, account, { staged: 'set and proven' })).toMatchObject({ outcome: 'confirmed' })
      expect(proxy.connections()).toBe(6)
    })
  })
}

/** Whoever changes somebody else's password speaks to some targets by another name than their own. */
const powerless = ({ at }: ConformanceWorld, { username, password }: Login): Login => {
  const { accountDn } = at.parameters
  return { username: typeof accountDn === 'string' ? accountDn.replace('{username}', username) : username, password }
}

const job = (
  { adapter, at, admin }: ConformanceWorld,
  account: Login,
  values: Pick<SealedJob, 'staged'> & Partial<SealedJob>,
  step: (state: string) => void = () => {},
): Promise<JobOutcome> =>
  runJob(
    {
      v: 1,
      jobId: '0198c0de-0000-7000-8000-000000000001' as SealedJob['jobId'],
      epoch: 1,
      connectorId: '0198c0de-0000-7000-8000-000000000002' as SealedJob['connectorId'],
      kind: 'reset',
      deadlineMs: inTime,
      target: { ...at, adapter: 'it' },
      account: { username: account.username },
      known: account.password,
      admin,
      macKey: 'A'.repeat(43),
      macKeyId: 'o1',
      ...values,
    },
    { adapters: { it: adapter }, allowList: { allows: () => true }, remaining: () => inTime, step },
  )
