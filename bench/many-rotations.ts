import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import pg from 'pg'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import type { Stack } from '#stack/test-stack.ts'
import type { Sweep } from '#workflows/messages.ts'
import { runLanes } from './figures.ts'

/** What became of identities that were all due at once. */
export interface ManyRotations {
  /** States of their rotations, all of them. */
  readonly states: readonly string[]
  /** Identities with another number of rotations than one. */
  readonly notOnce: number
  /** Next dates that are not one interval after the one that was due. */
  readonly drifted: number
  /** Most jobs that were claimed at once. */
  readonly mostClaimed: number
  /** ms from the offer of each job to its result. */
  readonly times: readonly number[]
  /** ms until all were through. */
  readonly elapsed: number
  /** Identities whose vaulted value does not log in. */
  readonly refused: number
}

/**
 * Makes identities with a role each on the stack's target, makes them due an hour ago, and lets the schedule rotate them.
 *
 * @param limitMs gives up after so long
 */
export async function rotateMany(stack: Stack, temporal: Client, count: number, limitMs: number): Promise<ManyRotations> {
  const mia = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'mia', acr: 'mfa' }))
  const control = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
  await control.connect()
  try {
    const ids = await createIdentities(stack, mia, count)
    await control.query(`update identity set next_rotation_at = date_trunc('second', now()) - interval '1 hour' where id = any($1)`, [ids])
    const began = performance.now()
    await temporal.schedule.getHandle('rotation-sweep' satisfies Sweep).trigger()
    const mostClaimed = await untilThrough(control, ids, limitMs)
    const elapsed = performance.now() - began
    const { rows } = await control.query(
      `select array_agg(r.state) as states,
        (select count(*)::int from unnest($1::uuid[]) i (id) where (select count(*) from rotation o where o.identity_id = i.id) <> 1) as "notOnce",
        (select count(*)::int from identity i join rotation o on o.identity_id = i.id where i.id = any($1) and i.next_rotation_at is distinct from o.due_at + interval '1 day') as drifted,
        array(select extract(epoch from j.finished_at - j.offered_at)::float8 * 1000 from job j where j.identity_id = any($1) and j.finished_at is not null) as times
      from rotation r where r.identity_id = any($1)`,
      [ids],
    )
    return { ...rows[0], mostClaimed, elapsed, refused: await countRefused(stack, mia, ids) }
  } finally {
    await control.end()
  }
}

/**
 * Rotates one identity on the stack's target again and again, each time when the last one is through and nothing else happens.
 *
 * @returns ms from the offer of each job to its result
 */
export async function rotateOneByOne(stack: Stack, count: number): Promise<readonly number[]> {
  const mia = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'mia', acr: 'mfa' }))
  const control = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
  await control.connect()
  try {
    const [id] = await createIdentities(stack, mia, 1)
    for (let turn = 1; turn <= count; turn += 1) {
      expectStatus(await mia.post(`/v1/identities/${id}/rotate`, {}), 202)
      await untilConfirmed(control, id as string, turn)
    }
    const { rows } = await control.query(`select extract(epoch from finished_at - offered_at)::float8 * 1000 as ms from job where identity_id = $1`, [id])
    return rows.map((row) => row.ms)
  } finally {
    await control.end()
  }
}

async function untilConfirmed(control: pg.Client, id: string, count: number): Promise<void> {
  for (const limit = Date.now() + 30_000; ; await sleep(20)) {
    const { rows } = await control.query(`select count(*)::int as confirmed from rotation where identity_id = $1 and state = 'confirmed'`, [id])
    if (rows[0].confirmed >= count) return
    if (Date.now() > limit) throw new Error(`rotation ${count} is not confirmed`)
  }
}

async function createIdentities(stack: Stack, mia: ApiClient, count: number): Promise<string[]> {
  const hosts = expectStatus(await mia.get<{ items: { id: string; name: string }[] }>('/v1/hosts?limit=100'), 200)
  const vaults = expectStatus(await mia.get<{ items: { id: string; name: string }[] }>('/v1/identity-groups?limit=100'), 200)
  const host = hosts.items.find(({ name }) => name === 'target')?.id
  const identityGroupId = vaults.items.find(({ name }) => name === 'demo')?.id
  const target = new pg.Pool({ connectionString: stack.targetSuperuserUrl, max: 4 })
  const ids: string[] = []
  await runLanes(Array.from({ length: count }), 8, async () => {
    const [username, credential] = [`due_${randomUUID().replaceAll('-', '')}`, randomUUID()]
    await target.query(`create role ${username} login password '${credential}'`)
    const body = { identityGroupId, name: username, username, credentialType: 'password', credential, rotationIntervalDays: 1, hostIds: [host] }
    ids.push(expectStatus(await mia.post<{ id: string }>('/v1/identities', body), 201).id)
  })
  await target.end()
  return ids
}

/** @returns the most jobs that were seen claimed at once */
async function untilThrough(control: pg.Client, ids: readonly string[], limitMs: number): Promise<number> {
  const limit = Date.now() + limitMs
  let most = 0
  for (;;) {
    const { rows } = await control.query(
      `select (select count(*)::int from rotation where identity_id = any($1) and state <> 'pending') as done,
        (select count(*)::int from job where identity_id = any($1) and state = 'claimed') as claimed`,
      [ids],
    )
    most = Math.max(most, rows[0].claimed)
    if (rows[0].done >= ids.length) return most
    if (Date.now() > limit) throw new Error(`${rows[0].done} of ${ids.length} rotations are through; the others: ${await pendingJobs(control, ids)}`)
    await sleep(50)
  }
}

async function pendingJobs(control: pg.Client, ids: readonly string[]): Promise<string> {
  const { rows } = await control.query(
    `select r.phase, j.state, j.epoch, j.attempts, j.reason_class, now() - r.started_at as age, j.offered_at - r.started_at as offered
    from rotation r left join job j on j.rotation_id = r.id where r.identity_id = any($1) and r.state = 'pending' limit 5`,
    [ids],
  )
  return JSON.stringify(rows)
}

async function countRefused(stack: Stack, mia: ApiClient, ids: readonly string[]): Promise<number> {
  const { hostname, port } = new URL(stack.urls.target)
  let refused = 0
  await runLanes(ids, 4, async (id) => {
    const { username, value } = expectStatus(await mia.post<{ username: string; value: string }>(`/v1/identities/${id}/reveal`, {}), 200)
    const client = new pg.Client({ host: hostname, port: Number(port), user: username, password: value, database: 'postgres' })
    await client.connect().then(
      () => client.end(),
      () => (refused += 1),
    )
  })
  return refused
}
