import { describe, expect, test } from 'vitest'
import type { Adapter } from '#connector/adapters/adapter.ts'
import { runJob, type JobOutcome } from '#connector/run-job.ts'
import type { SealedJob } from '#schemas/connector-message.ts'

/** Accounts that are changed on one server and log in on another, which is behind until `catchUp`; no test server does that when it should. */
function openReplicated() {
  const values = { changed: 'the old value', loggingIn: 'the old value' }
  const adapter: Adapter = {
    change: async (_, { as, password, beforeSend }) => {
      if (as.username === 'app' && as.password !== values.changed) return { change: 'unchanged', reasonClass: 'denied' }
      beforeSend()
      values.changed = password
      return { change: 'applied' }
    },
    logIn: async (_, { password }) => ({ login: password === values.loggingIn ? 'accepted' : 'rejected' }),
  }
  const set = (value: string): void => void Object.assign(values, { changed: value, loggingIn: value })
  return { adapter, catchUp: () => set(values.changed), set }
}

const run = (adapter: Adapter, more: Partial<SealedJob> = {}): Promise<JobOutcome> =>
  runJob(
    {
      v: 1,
      jobId: '0198c0de-0000-7000-8000-000000000001' as SealedJob['jobId'],
      epoch: 1,
      connectorId: '0198c0de-0000-7000-8000-000000000002' as SealedJob['connectorId'],
      kind: 'reset',
      deadlineMs: 10_000,
      target: { address: 'target.internal', port: 1, parameters: {}, adapter: 'it' },
      account: { username: 'app' },
      staged: 'the new value',
      known: 'the old value',
      admin: null,
      macKey: 'A'.repeat(43),
      macKeyId: 'o1',
      ...more,
    },
    { adapters: { it: adapter }, allowList: { allows: () => true }, remaining: () => 10_000, step: () => {} },
  )

const admin = { username: 'admin', password: 'of the admin' }

describe('a target whose logins are behind its changes', () => {
  test.each([null, admin])('leaves it unknown what it has, as long as the old value still logs in (admin: %j)', async (by) => {
    const { adapter, catchUp } = openReplicated()
    expect(await run(adapter, { admin: by })).toEqual({ outcome: 'unknown', reasonClass: 'verify-failed', stagedLogsIn: false, knownLogsIn: true })
    catchUp()
    expect(await run(adapter, { kind: 'probe', admin: by })).toMatchObject({ outcome: 'confirmed' })
  })
})

describe('an account that is refused as itself', () => {
  test('may have the new value already: that is found out', async () => {
    const { adapter, set } = openReplicated()
    set('the new value')
    expect(await run(adapter)).toMatchObject({ outcome: 'confirmed', stagedLogsIn: true })
  })

  test('and has neither value is in doubt, and not called unchanged', async () => {
    const { adapter, set } = openReplicated()
    set('of somebody else')
    expect(await run(adapter)).toEqual({ outcome: 'unknown', reasonClass: 'denied', stagedLogsIn: false, knownLogsIn: false })
  })

  test('while the old value logs in is unchanged', async () => {
    const { adapter } = openReplicated()
    const refusing: Adapter = { ...adapter, change: async () => ({ change: 'unchanged', reasonClass: 'denied' }) }
    expect(await run(refusing)).toEqual({ outcome: 'unchanged', reasonClass: 'denied', stagedLogsIn: false, knownLogsIn: true })
  })
})

describe('a check', () => {
  const counted = (value: string) => {
    const asked: string[] = []
    const adapter: Adapter = {
      change: () => expect.unreachable('a check changes nothing'),
      remove: () => expect.unreachable('a check takes nothing away'),
      logIn: async (_, { password }) => {
        asked.push(password)
        return { login: password === value ? 'accepted' : 'rejected' }
      },
    }
    return { adapter, asked }
  }

  // Whatever else it is sent.
  const check = { kind: 'check', staged: 'the stored value', known: 'another value', admin } as const

  test.each([
    ['the stored value', { outcome: 'confirmed', stagedLogsIn: true, reasonClass: null }],
    ['of somebody else', { outcome: 'unknown', stagedLogsIn: false, reasonClass: 'denied' }],
  ])('is one login, and changes nothing: the account has %s', async (value, outcome) => {
    const { adapter, asked } = counted(value)
    expect(await run(adapter, check)).toMatchObject({ ...outcome, knownLogsIn: null })
    expect(asked).toEqual(['the stored value'])
  })

  test('that was never asked says nothing of the value', async () => {
    const { adapter } = counted('the stored value')
    const unclear: Adapter = { ...adapter, logIn: async () => ({ login: 'unclear', reasonClass: 'unreachable' }) }
    expect(await run(unclear, check)).toEqual({ outcome: 'unknown', reasonClass: 'unreachable', stagedLogsIn: null, knownLogsIn: null })
  })
})
