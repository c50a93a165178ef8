import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import type { Stack } from '#stack/test-stack.ts'
import type { Rotation } from '#schemas/rotation.ts'
import { leasehold as run, startLeasehold } from './leasehold.ts'

/** What the commands about rotations promise on a running stack. */
export function rotationCommands(running: () => Stack): void {
  let stack: Stack
  let ola: ApiClient
  let superuser: pg.Client
  let ids: ReadonlyMap<string, string>
  beforeAll(async () => {
    stack = running()
    superuser = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
    await superuser.connect()
    ola = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'ola', acr: 'mfa' }))
    const { items } = expectStatus(await ola.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
    ids = new Map(items.map(({ name, id }) => [name, id]))
  }, 60_000)
  afterAll(() => superuser?.end())

  const environment = () => ({ LEASEHOLD_HOME: stack.home, LEASEHOLD_CONFIG_HOME: path.join(stack.home, 'nobody') })
  const rotation = (...args: string[]) => run(environment(), 'rotation', ...args, '--as', 'ola')
  const idOf = (name: string): string => ids.get(name) ?? expect.unreachable(name)

  test('start --wait follows every host until the new value is confirmed, and each line of JSON is the whole rotation', async () => {
    const text = await rotation('start', idOf('orders-db'), '--wait')
    expect(text).toMatchObject({ code: 0, err: '' })
    expect(text.out).toMatch(/^pending {2}queued\n/)
    expect(text.out).toMatch(/\nconfirmed {2}done\n {2}host \S+ {2}confirmed.*\n$/)
    const json = await rotation('start', idOf('orders-db'), '--wait', '-o', 'json')
    const states = json.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Rotation)
    expect([json.code, states[0]?.state, states.at(-1)?.state]).toEqual([0, 'pending', 'confirmed'])
    expect(states.at(-1)?.hosts).toMatchObject([{ state: 'confirmed' }])
  }, 120_000)

  test('list, show and watch show it, and who may not start one is told why', async () => {
    const listed = await rotation('list', '--identity', idOf('orders-db'), '--state', 'confirmed', '-o', 'json')
    const { items } = JSON.parse(listed.out) as { items: Rotation[] }
    const [newest] = items
    expect(items.every(({ state, identityId }) => state === 'confirmed' && identityId === idOf('orders-db'))).toBe(true)
    expect(await rotation('show', newest?.id ?? '')).toMatchObject({ code: 0, out: expect.stringMatching(/ confirmed .*\n {2}host \S+ {2}confirmed/) })
    expect(await rotation('watch', newest?.id ?? '')).toMatchObject({ code: 0, out: expect.stringMatching(/^confirmed {2}done\n/) })
    expect(await rotation('list', '--state', 'broken')).toMatchObject({ code: 1, out: '' })
    expect(await rotation('show', '0198c0de-0000-7000-8000-000000000001')).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^404 /) })
    const refused = await run(environment(), 'rotation', 'start', idOf('orders-db'), '--as', 'vic')
    expect(refused).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^403 You are not allowed/) })
  }, 120_000)

  test('what needs a person is listed with its cause when it has been pending for too long, and resolved: who watches exits with 1 where it failed', async () => {
    const vault = expectStatus(await ola.get<{ identityGroupId: string }>(`/v1/identities/${idOf('orders-db')}`), 200).identityGroupId
    const body = { identityGroupId: vault, name: 'by hand', username: 'by-hand', credentialType: 'password', credential: 'set by hand 1' }
    const { id: identityId } = expectStatus(await ola.post<{ id: string }>('/v1/identities', body), 201)
    const begun = await rotation('start', identityId, '--vault-only', '-o', 'json')
    const { id } = JSON.parse(begun.out) as Rotation
    expect((await rotation('list', '--stuck')).out).not.toContain(id)
    await expect.poll(async () => (await ola.get<Rotation>(`/v1/rotations/${id}`)).body.needsAttention, { timeout: 20_000 }).toBe(true)
    await superuser.query(`update rotation set started_at = started_at - interval '2 days' where id = $1`, [id])
    const stuck = await rotation('list', '--stuck')
    expect(stuck).toMatchObject({ code: 0, err: '' })
    expect(stuck.out).toMatch(new RegExp(`^${id} .* needs attention {2}stuck since \\S+\\n {2}waits for person since \\S+\\n$`))
    const watching = startLeasehold(environment(), 'rotation', 'watch', id, '--as', 'ola')
    await expect.poll(watching.output, { timeout: 20_000 }).toContain('waits for person')
    expect(await rotation('resolve', id, '--outcome', 'applied')).toMatchObject({ code: 1, err: expect.stringContaining('--reason') })
    const resolved = await rotation('resolve', id, '--outcome', 'not-applied', '--reason', 'the target still has the old one')
    expect(resolved).toMatchObject({ code: 0, out: expect.stringMatching(new RegExp(`^${id} +failed `)) })
    expect([await watching.ended, watching.output()]).toEqual([1, expect.stringMatching(/\nfailed {2}done.*\n$/)])
  }, 120_000)

  test('campaign rotates a whole vault until every identity is confirmed, says why one is not, and is over for whoever comes later', async () => {
    const { organizationId } = expectStatus(await ola.get<{ organizationId: string }>(`/v1/identities/${idOf('orders-db')}`), 200)
    const { id: vaultId } = expectStatus(await ola.post<{ id: string }>('/v1/identity-groups', { organizationId, name: 'after the incident' }), 201)
    const homeless = { identityGroupId: vaultId, name: 'homeless', username: 'homeless', credentialType: 'password', credential: 'of no host 1' }
    const { id: skipped } = expectStatus(await ola.post<{ id: string }>('/v1/identities', homeless), 201)
    const begun = await rotation('campaign', 'start', '--identity', idOf('orders-db'), skipped, '--reason', 'INC-2042', '--at-once', '1', '-o', 'json')
    expect(begun).toMatchObject({ code: 0, err: '' })
    const { id } = JSON.parse(begun.out) as { id: string }
    await expect.poll(async () => (await rotation('campaign', 'show', id)).out, { timeout: 60_000, interval: 1_000 }).toMatch(/ completed {2}.* 1 confirmed /)
    const shown = await rotation('campaign', 'show', id)
    expect(shown.out).toMatch(new RegExp(`\\n {2}identity ${skipped} {2}skipped {2}identity-has-no-hosts\\n$`))
    expect((await rotation('campaign', 'list')).out).toContain(id)
    expect(await rotation('campaign', 'abort', id)).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^409 This rotation campaign is over/) })
    const whole = await rotation('campaign', 'start', '--vault', 'after the incident', '--reason', 'INC-2042')
    expect(whole).toMatchObject({ code: 0, out: expect.stringMatching(/^\S+ {2}running .* 1 waiting /) })
    const nowhere = await rotation('campaign', 'start', '--vault', 'nowhere', '--reason', 'INC-2042')
    expect(nowhere).toMatchObject({ code: 1, out: '', err: expect.stringContaining('there is no vault nowhere') })
    expect(await rotation('campaign', 'start', '--vault', 'after the incident')).toMatchObject({ code: 1, err: expect.stringContaining('--reason') })
    expect(await rotation('campaign', 'start', '--reason', 'x')).toMatchObject({ code: 1, err: expect.stringContaining('--vault') })
  }, 120_000)
}
