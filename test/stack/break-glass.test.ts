import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiClient, expectStatus, type ApiAnswer } from '#stack/api-client.ts'
import { codeOf } from '#secrets/totp.ts'
import { accessToken } from '#stack/login.ts'
import type { ProcessFacts } from '#stack/process.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { fromBase32 } from '../support/base32.ts'
import { useProduct, type Credential, type Lease, type Product } from './product.ts'

interface Use {
  readonly lease: Lease & { readonly startedAt: string }
  readonly beyondLimit: boolean
  readonly credential: Credential & { readonly label: string; readonly version: number }
  readonly alsoPossible: readonly (Credential & { readonly label: string; readonly version: number })[]
}

interface Evidence {
  readonly proven: { readonly dead: boolean; readonly hosts: readonly unknown[] }
  readonly told: readonly { readonly kind: string }[]
  readonly events: readonly { readonly action: string }[]
}

let stack: Stack
let product: Product
let processes: readonly ProcessFacts[]
let ports: string[]
beforeAll(async () => {
  stack = await startStack({ apis: 4 })
  product = await useProduct(stack)
  processes = await stack.processes()
  ports = processes.filter(({ role }) => role === 'api').map(({ port }) => `http://127.0.0.1:${port}`)
  for (const user of ['sam', 'ola']) {
    const client = await product.clientOf(user)
    expectStatus(await client.put('/v1/me/break-glass-credential', { passphrase: passphraseOf(user) }), 200)
  }
}, 300_000)
afterAll(() => stack?.stop())

const passphraseOf = (user: string) => `seven quiet herons of ${user}`
const breakGlass = async (user: string, identity: string, api = stack.urls.api): Promise<ApiAnswer<Use>> =>
  apiClient(api, await accessToken({ home: stack.home, user, acr: 'mfa' })).post<Use>(`/v1/identities/${product.identityId(identity)}/break-glass`, {
    reason: 'INC-2042',
    justification: 'The on-call approver does not answer.',
    breakGlassCredential: passphraseOf(user),
  })
/** What other tests have open ends, and uses of the last minute no longer count. */
async function begin(identity: string): Promise<void> {
  // The replicas that another test killed come back.
  const up = () =>
    fetch(`${stack.urls.api}/healthz`).then(
      ({ status }) => status,
      () => 0,
    )
  await expect.poll(up, { timeout: 60_000, interval: 200 }).toBe(200)
  const mia = await product.clientOf('mia')
  const { rows } = await product.sql(`select id from lease where state = 'active' and mode = 'break_glass'`)
  for (const { id } of rows) expectStatus(await mia.post(`/v1/leases/${id}/force-checkin`, { reason: 'Another test begins' }), 200)
  await product.sql(`update lease set started_at = started_at - interval '2 minutes' where mode = 'break_glass'`)
  await product.untilFree(identity)
}

describe('break-glass', () => {
  test('50 calls at once by one person through 4 replicas, and as many while each replica dies and comes back: three in any minute', async () => {
    const names = ['orders-db', 'reports-db', 'shared-ro']
    const token = await accessToken({ home: stack.home, user: 'sam', acr: 'mfa' })
    const crowd = (size: number) =>
      Promise.all(
        Array.from({ length: size }, async (_, index) => {
          const api = index % 5 === 4 ? stack.urls.api : (ports[index % 4] as string)
          const path = `/v1/identities/${product.identityId(names[index % 3] as string)}/break-glass`
          const body = { reason: 'INC-2042', justification: 'The on-call approver does not answer.', breakGlassCredential: passphraseOf('sam') }
          const answer = await apiClient(api, token)
            .post<Use>(path, body)
            .catch(() => undefined)
          return answer?.status ?? 0
        }),
      )
    const statuses = await crowd(50)
    expect(statuses.filter((status) => status === 201)).toHaveLength(3)
    // 503: the crowd at the lock, on a slow machine.
    expect(statuses.filter((status) => ![201, 429, 503].includes(status))).toEqual([])
    const later: Promise<number[]>[] = []
    for (const name of ['api-1', 'api-2', 'api-3', 'api-4']) {
      later.push(crowd(12))
      await stack.kill(name)
    }
    await Promise.all(later)
    const { rows } = await product.sql(
      `select count(*)::int as inside from lease a join lease b on b.user_id = a.user_id and b.mode = 'break_glass'
          and b.started_at > a.started_at - interval '60 seconds' and b.started_at <= a.started_at
        where a.mode = 'break_glass' group by a.id order by 1 desc limit 1`,
    )
    expect(rows).toEqual([{ inside: 3 }])
  }, 180_000)

  test('with Temporal and its workers stopped it answers; what it owes happens after they are back, and it is seen until somebody signs', async () => {
    await begin('orders-db')
    const held = await product.takeWhenFree('orders-db')
    await Promise.all([stack.hold('temporal', 'SIGKILL'), stack.hold('worker-1', 'SIGKILL')])
    await product.sql(`update relay_state set last_temporal_call_at = now() - interval '1 hour'`)
    const { lease, credential, beyondLimit } = expectStatus(await breakGlass('ola', 'orders-db'), 201)
    expect([beyondLimit, await product.refused(credential)]).toEqual([true, undefined])
    const ola = await product.clientOf('ola')
    expectStatus(await ola.post(`/v1/leases/${lease.id}/checkin`, {}), 200)
    await product.checkin(held.lease)
    expect(await product.refused(credential)).toBeUndefined()
    await stack.restart('temporal')
    await stack.restart('worker-1')
    await expect.poll(() => product.refused(credential), { timeout: 60_000, interval: 250 }).toBe('28P01')
    expect(await product.refused(await product.reveal('orders-db'))).toBeUndefined()

    const mia = await product.clientOf('mia')
    const unreviewed = async () => {
      const port = processes.find(({ role }) => role === 'worker')?.port
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
      return Number(/^leasehold_break_glass_unreviewed (\d+)$/m.exec(text)?.[1])
    }
    const open = async () => expectStatus(await mia.get<{ items: { id: string }[] }>('/v1/break-glass-reviews?state=open'), 200).items
    await expect.poll(unreviewed, { timeout: 10_000, interval: 500 }).toBe((await open()).length)
    await expect
      .poll(async () => expectStatus(await mia.get<Evidence>(`/v1/break-glass-reviews/${lease.id}/evidence`), 200).proven, { timeout: 10_000, interval: 250 })
      .toMatchObject({ dead: true, hosts: [{ proof: { connectorId: expect.any(String), eventId: expect.any(String) } }] })
    const evidence = expectStatus(await mia.get<Evidence>(`/v1/break-glass-reviews/${lease.id}/evidence`), 200)
    expect(evidence).toMatchObject({
      who: { name: 'Ola Admin', sub: 'ola' },
      why: { reason: 'INC-2042', justification: 'The on-call approver does not answer.' },
      from: { ip: '127.0.0.1' },
      what: { identity: 'orders-db', versions: [credential.version], beyondLimit: true },
      untilWhen: { endCause: 'checked_in' },
    })
    expect(evidence.told.map(({ kind }) => kind).sort()).toEqual(['break_glass.ended', 'break_glass.opened'])
    expect(evidence.events.map(({ action }) => action)).toEqual(expect.arrayContaining(['lease.granted', 'lease.ended', 'rotation.confirmed']))
    const before = (await open()).length
    expectStatus(await mia.post(`/v1/break-glass-reviews/${lease.id}/sign`, { finding: 'A test of the whole product.' }), 200)
    expect(await open()).toHaveLength(before - 1)
    await expect.poll(unreviewed, { timeout: 10_000, interval: 500 }).toBe(before - 1)
  }, 180_000)

  test('while a connector died in the middle of a change it answers both passwords, labelled; afterwards neither logs in', async () => {
    await begin('orders-db')
    const { lease: use, credential: known } = await product.takeWhenFree('orders-db')
    const [admin, watcher] = [new pg.Client(stack.targetSuperuserUrl), new pg.Client(stack.targetSuperuserUrl)]
    for (const client of [admin, watcher]) client.on('error', () => {})
    await Promise.all([admin.connect(), watcher.connect()])
    await admin.query('begin')
    await admin.query(`alter role ${known.username} connection limit 50`)
    expectStatus(await product.checkin(use), 200)
    await untilWaiting(watcher)
    await stack.hold('connector', 'SIGKILL')
    const { lease, credential, alsoPossible } = expectStatus(await breakGlass('ola', 'orders-db'), 201)
    const [staged] = alsoPossible
    expect([credential.label, alsoPossible.length, staged?.label]).toEqual(['current', 1, 'staged'])
    await admin.query('commit')
    await Promise.all([admin.end(), watcher.end()])
    const works = await Promise.all([credential, staged as Credential].map((one) => product.refused(one)))
    expect(works.filter((refusal) => refusal === undefined)).toHaveLength(1)
    await stack.restart('connector')
    expectStatus(await (await product.clientOf('ola')).post(`/v1/leases/${lease.id}/checkin`, {}), 200)
    await product.untilFree('orders-db')
    expect(await Promise.all([credential, staged as Credential].map((one) => product.refused(one)))).toEqual(['28P01', '28P01'])
    expect(await product.refused(await product.reveal('orders-db'))).toBeUndefined()
  }, 180_000)

  test('while the provider of logins is down goes on where the organization says so, by passphrase and code, and nowhere else', async () => {
    await begin('reports-db')
    const [mia, ola] = [await product.clientOf('mia'), await product.clientOf('ola')]
    const { secret } = expectStatus(await ola.put<{ secret: string }>('/v1/me/break-glass-totp', undefined), 200)
    const code = (): string => codeOf(fromBase32(secret), Date.now())
    expectStatus(await ola.post('/v1/me/break-glass-totp/confirm', { code: code() }), 204)
    const { rows } = await product.sql('select organization_id from identity where id = $1', [product.identityId('reports-db')])
    const allow = async (breakGlassWithoutProvider: boolean): Promise<unknown> =>
      expectStatus(await mia.patch(`/v1/organizations/${rows[0].organization_id}`, { breakGlassWithoutProvider }), 200)
    const nobody = apiClient(stack.urls.api, '')
    /** A code counts once: a moment later there is another one. */
    const logIn = async () => {
      await product.sql('update break_glass_totp set last_step = 0')
      return nobody.post<{ accessToken: string }>('/v1/break-glass/login', { user: 'ola', breakGlassCredential: passphraseOf('ola'), code: code() })
    }
    const withoutProvider = async <T>(act: () => Promise<T>): Promise<T> => {
      await stack.hold('oidc', 'SIGKILL')
      return act().finally(() => stack.restart('oidc'))
    }
    await allow(false)
    expect((await withoutProvider(logIn)).status).toBe(401)
    await allow(true)
    await withoutProvider(async () => {
      await expect(accessToken({ home: stack.home, user: 'ola', acr: 'mfa' })).rejects.toThrow()
      const emergency = apiClient(stack.urls.api, expectStatus(await logIn(), 200).accessToken)
      const body = { reason: 'INC-2042', justification: 'Nobody can log in any more.', breakGlassCredential: passphraseOf('ola') }
      const { lease, credential } = expectStatus(await emergency.post<Use>(`/v1/identities/${product.identityId('reports-db')}/break-glass`, body), 201)
      expect(await product.refused(credential)).toBeUndefined()
      expect((await emergency.get('/v1/identities')).status).toBe(403)
      expectStatus(await emergency.post(`/v1/leases/${lease.id}/checkin`, {}), 200)
      await expect.poll(() => product.refused(credential), { timeout: 60_000, interval: 250 }).toBe('28P01')
    })
    await allow(false)
  }, 120_000)

  test('that nobody gives back ends by itself, and its password is dead', async () => {
    await begin('reports-db')
    const { lease, credential } = expectStatus(await breakGlass('sam', 'reports-db'), 201)
    await product.sql(`update lease set started_at = started_at - interval '2 hours', expires_at = clock_timestamp() where id = $1`, [lease.id])
    await expect.poll(() => product.refused(credential), { timeout: 60_000, interval: 250 }).toBe('28P01')
    const { body } = await product.sam.get<Lease & { endCause: string }>(`/v1/leases/${lease.id}`)
    expect([body.endCause, body.rotationId === null]).toEqual(['expired', false])
  }, 90_000)
})

/** Waits until the connector's change stands before a lock of the target. */
async function untilWaiting(watcher: pg.Client): Promise<void> {
  const waiting = async () =>
    (await watcher.query<{ waiting: number }>("select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'")).rows[0]?.waiting
  await expect.poll(waiting, { timeout: 30_000, interval: 50 }).toBeGreaterThan(0)
}
