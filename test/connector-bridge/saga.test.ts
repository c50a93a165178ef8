import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Adapter } from '#connector/adapters/adapter.ts'
import { postgresAdapter } from '#connector/adapters/postgres.ts'
import type { RunningConnector } from '#connector/connector.ts'
import type { IdentityId, RotationId } from '#schemas/ids.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import type { TargetRole } from '../support/target.ts'
import { runConnector } from './support.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

/** Each step of a rotation fails once, on real servers; what follows is one rotation that is confirmed all the same. */

let world: BridgeWorld
let connectorId: Awaited<ReturnType<BridgeWorld['joinConnector']>>['id']
let running: RunningConnector
/** What the connector's adapter does the next time, instead of its own. */
let faults: { -readonly [Name in keyof Adapter]?: Adapter[Name] } = {}
beforeAll(async () => {
  world = await createBridgeWorld()
  const connector = await world.joinConnector()
  connectorId = connector.id
  const faulty: Adapter = {
    change: (...args) => {
      const { change = postgresAdapter.change } = faults
      delete faults.change
      return change(...args)
    },
    logIn: (...args) => {
      const { logIn = postgresAdapter.logIn } = faults
      delete faults.logIn
      return logIn(...args)
    },
  }
  running = runConnector(connector.home, { postgres: faulty })
  await world.database.superuser(`create function fail_once() returns trigger language plpgsql security definer as $$
    begin if nextval('faults') = 1 then raise exception 'injected' using errcode = '58030'; end if; return new; end $$`)
}, 30_000)
afterEach(() => {
  faults = {}
})
afterAll(async () => {
  await running.stop()
  await world.end()
})

/** One write of the saga: where, when, and what makes it this step. */
const writes = {
  'the value is staged': ['credential_version', 'insert', 'true'],
  'the jobs are opened': ['job', 'insert', 'true'],
  'the job is claimed': ['job', 'update', `new.state = 'claimed' and old.state <> 'claimed'`],
  'the result is taken': ['job', 'update', `new.state = 'confirmed'`],
  'the version of the host moves': ['identity_host', 'update', 'new.known_version <> old.known_version'],
  'the rotation is confirmed': ['rotation', 'update', `new.state = 'confirmed'`],
  'the identity gets its version': ['identity', 'update', 'new.current_version <> old.current_version'],
  'it is written down': ['audit_event', 'insert', `new.action = 'rotation.confirmed'`],
} as const satisfies Record<string, readonly [table: string, event: string, when: string]>

describe.each(Object.entries(writes))('when %s', (_step, [table, event, condition]) => {
  test.each([
    ['and the statement fails', `create trigger injected before ${event} on ${table} for each row when (${condition}) execute function fail_once()`],
    [
      'and the commit fails',
      `create constraint trigger injected after ${event} on ${table} deferrable initially deferred for each row when (${condition}) execute function fail_once()`,
    ],
  ])(
    '%s, the step is done again, and the rotation is confirmed once',
    async (_how, trigger) => {
      const { role, identityId } = await world.addAccount(connectorId)
      await world.database.superuser('create sequence faults')
      await world.database.superuser('grant usage on sequence faults to public')
      await world.database.superuser(trigger)
      try {
        await confirmed(identityId, await begin(identityId))
        expect(Number((await world.database.superuser('select last_value from faults')).rows[0].last_value)).toBeGreaterThan(1)
      } finally {
        await world.database.superuser(`drop trigger injected on ${table}`)
        await world.database.superuser('drop sequence faults')
      }
      await expectRotated(identityId, role)
    },
    30_000,
  )
})

describe('when the connector', () => {
  const cases: Record<string, Partial<Adapter>> = {
    'cannot reach the target': { change: async () => ({ change: 'unchanged', reasonClass: 'unreachable' }) },
    'breaks before the change': { change: async () => Promise.reject(new Error('injected')) },
    'changes the password and does not hear of it': {
      change: async (target, change) => {
        await postgresAdapter.change(target, change)
        return { change: 'unknown', reasonClass: 'interrupted' }
      },
    },
    'sends a change that never arrives': {
      change: async (_target, { beforeSend }) => {
        beforeSend()
        return { change: 'unknown', reasonClass: 'interrupted' }
      },
    },
    'believes in a change that is not there': { change: async (_target, { beforeSend }) => (beforeSend(), { change: 'applied' }) },
    'changes the password and cannot prove it': { logIn: async () => ({ login: 'unclear', reasonClass: 'unreachable' }) },
    'changes the password and breaks': { logIn: async () => Promise.reject(new Error('injected')) },
  }
  test.each(Object.entries(cases))(
    '%s, what the target has is found out, and the staged value is confirmed',
    async (_name, fault) => {
      const { role, identityId } = await world.addAccount(connectorId)
      faults = { ...fault }
      const rotationId = await begin(identityId)
      // A connector that broke says nothing: its claim is over in time, which a test need not wait for.
      await confirmed(identityId, rotationId, { hurry: true })
      expect(faults).toEqual({})
      await expectRotated(identityId, role)
    },
    60_000,
  )
})

test('each step that runs twice, one after the other and at once, does it once', async () => {
  const { role, identityId } = await world.addAccount(connectorId)
  const rotationId = await begin(identityId)
  await confirmed(identityId, rotationId, { twice: true })
  await expectRotated(identityId, role)
}, 30_000)

const begin = async (identityId: IdentityId): Promise<RotationId> =>
  (await world.run((trx) => beginRotation(trx, { identityId, trigger: 'manual', actor: { kind: 'system', id: 'test' } }))).rotationId

/** Does what the workflow does, with its retries, until the rotation is confirmed. */
async function confirmed(
  identityId: IdentityId,
  rotationId: RotationId,
  { hurry = false, twice = false }: { readonly hurry?: boolean; readonly twice?: boolean } = {},
): Promise<void> {
  for (const limit = Date.now() + 50_000; ; await sleep(50)) {
    const pass = () => world.drive(rotationId, 500).catch(() => {})
    await (twice ? Promise.all([pass(), pass()]).then(pass) : pass())
    const { state } = await world.rotation(rotationId)
    if (state === 'confirmed') return
    if (state !== 'pending' || Date.now() > limit) throw new Error(`the rotation is ${state}`)
    if (hurry) {
      await world.database.superuser(
        `update job set lease_until = least(lease_until, now()), next_at = least(next_at, now())
          where identity_id = $1 and (state = 'doubt' or state = 'waiting' or (state = 'claimed' and claimed_at < now() - interval '3 seconds'))`,
        [identityId],
      )
      await world.database.superuser(
        `update obligation o set next_at = now(), version = o.version + 1 from job j where o.kind = 'offer' and o.subject_id = j.id and j.identity_id = $1 and j.state in ('waiting', 'doubt')`,
        [identityId],
      )
    }
  }
}

/** One staged value, one confirmation, one line of history; the vaulted value logs in and the old one does not. */
async function expectRotated(identityId: IdentityId, role: TargetRole): Promise<void> {
  const { rows } = await world.database.superuser(
    `select (select count(*)::int from credential_version where identity_id = $1) as versions,
      (select count(*)::int from password_history where identity_id = $1) as history,
      (select count(*)::int from audit_event where identity_id = $1 and action = 'rotation.staged') as staged,
      (select count(*)::int from audit_event where identity_id = $1 and action = 'rotation.confirmed') as confirmed`,
    [identityId],
  )
  expect(rows).toEqual([{ versions: 2, history: 2, staged: 1, confirmed: 1 }])
  expect(await world.target.logsIn(role.username, await world.vaulted(identityId))).toBe(true)
  expect(await world.target.logsIn(role.username, role.password)).toBe(false)
}
