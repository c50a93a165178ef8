import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiClient, expectStatus } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import type { Stack } from '#stack/test-stack.ts'
import { leasehold as run } from './leasehold.ts'

/** What the commands about duties promise on a running stack. */
export function dutyCommands(running: () => Stack): void {
  let stack: Stack
  let superuser: pg.Client
  let leaseId: string
  beforeAll(async () => {
    stack = running()
    superuser = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
    await superuser.connect()
    const sam = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'sam', acr: 'mfa' }))
    const { items } = expectStatus(await sam.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
    const { id } = items.find((item) => item.name === 'reports-db') ?? expect.unreachable()
    leaseId = expectStatus(await sam.post<{ lease: { id: string } }>(`/v1/identities/${id}/checkout`, { reason: 'duties', durationMinutes: 30 }), 201).lease.id
  }, 120_000)
  afterAll(() => superuser?.end())

  /** Runs `leasehold` on the stack of this test, as somebody who has not logged in. */
  const leasehold = (...args: string[]) => run({ LEASEHOLD_HOME: stack.home, LEASEHOLD_CONFIG_HOME: path.join(stack.home, 'nobody') }, ...args)
  const isDelivered = async () =>
    (await superuser.query('select delivered >= version and quarantined_at is null as yes from obligation where subject_id = $1', [leaseId])).rows[0].yes
  const look = { timeout: 20_000, interval: 100 }

  test('a quarantined duty is listed, retried and delivered by command', async () => {
    await expect.poll(isDelivered, look).toBe(true)
    await superuser.query(
      `update obligation set version = version + 1, attempts = 20, last_error = 'TestError', quarantined_at = clock_timestamp() where subject_id = $1`,
      [leaseId],
    )
    const listed = await leasehold('duties', 'list', '--state', 'quarantined', '--as', 'mia')
    expect(listed).toMatchObject({ code: 0, out: expect.stringMatching(new RegExp(`^lease +${leaseId} +quarantined .* 20 failures  TestError\\n$`)) })
    const json = await leasehold('duties', 'list', '--as', 'ola', '-o', 'json')
    expect(JSON.parse(json.out).items).toMatchObject([{ subjectId: leaseId, state: 'quarantined' }])
    expect(await leasehold('duties', 'retry', 'lease', leaseId, '--as', 'ola')).toMatchObject({ code: 0, out: expect.stringContaining(leaseId) })
    await expect.poll(isDelivered, look).toBe(true)
  }, 120_000)

  test('reconciliation by command has everything that is not final told once more', async () => {
    const version = async () => (await superuser.query('select version from obligation where subject_id = $1', [leaseId])).rows[0].version
    const before = await version()
    expect(await leasehold('duties', 'reconcile', '--as', 'ola')).toMatchObject({ code: 0, out: expect.stringMatching(/^[1-9]\d* told to look\n$/) })
    expect(await version()).toBe(before + 1)
    await expect.poll(isDelivered, look).toBe(true)
  }, 120_000)

  test('who may not is refused with the reason, and without a login nothing is asked', async () => {
    expect(await leasehold('duties', 'list', '--as', 'sam')).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^403 You are not allowed/) })
    expect(await leasehold('duties', 'reconcile')).toMatchObject({ code: 1, out: '', err: expect.stringContaining('--token-file') })
  }, 120_000)

  test('every role shows its own figures on its own port', async () => {
    const expected: Record<string, readonly string[]> = {
      'api-1': ['checkouts_total', 'checkout_duration_seconds', 'http_request_duration_seconds', 'relay_heartbeat_age_seconds', 'decryption_failures_total'],
      'worker-1': [
        'duties_undelivered',
        'duties_quarantined',
        'duty_lag_seconds',
        'duties_delivered_total',
        'duties_failed_total',
        'duty_delivery_duration_seconds',
        'relay_heartbeat_age_seconds',
        'expirer_overdue_leases',
        'expirer_oldest_overdue_seconds',
        'rotations_stuck',
        'expirer_ended_total',
        'expirer_turn_duration_seconds',
        'reconcile_last_run_timestamp_seconds',
        'reconcile_reopened_total',
      ],
      bridge: [
        'duties_undelivered',
        'duty_lag_seconds',
        'job_claims_granted_total',
        'job_claims_refused_total',
        'job_results_total',
        'decryption_failures_total',
      ],
    }
    for (const { name, port } of await stack.processes()) {
      if (expected[name] === undefined) continue
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
      const names = new Set(text.match(/(?<=^# TYPE )\S+/gm))
      for (const figure of [...(expected[name] ?? []), 'pool_connections', 'pool_busy_connections', 'pool_waiting_callers', 'database_up']) {
        expect([name, figure, names.has(`leasehold_${figure}`)]).toEqual([name, figure, true])
      }
      expect(text.match(/^leasehold_database_up\{.*\} 0$/m)).toBeNull()
      delete expected[name]
    }
    expect(expected).toEqual({})
  })
}
