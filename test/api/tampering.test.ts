import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pino } from 'pino'
import { createApiWorld, type ApiWorld } from './world.ts'

/** Somebody changes stored ciphertexts outside of us: an error, an alarm, an audit event, and no bytes. */

const logged: Record<string, unknown>[] = []
let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld({ log: pino({ level: 'error' }, { write: (line: string) => void logged.push(JSON.parse(line)) }) })
})
afterAll(() => world?.end())

const rowOf = async (id: string) =>
  (await world.database.superuser('select * from credential_version where identity_id = $1 and version = 1', [id])).rows[0] as {
    ciphertext: Buffer
    key_id: string
  }
const store = (id: string, ciphertext: Buffer, more = '') =>
  world.database.superuser(`update credential_version set ciphertext = $2${more} where identity_id = $1`, [id, ciphertext])
const ask = (id: string, path: string, body: object = {}) => world.post('sam', `/v1/identities/${id}/${path}`, body)
const checkout = (id: string) => ask(id, 'checkout', { reason: 'deploy 42', durationMinutes: 30 })

/** Every way to a value of the identity. */
async function expectRefused(id: string, ...calls: (() => ReturnType<typeof ask>)[]): Promise<void> {
  for (const call of calls) {
    logged.length = 0
    const count = async () =>
      Number(
        (await world.database.superuser(`select count(*) from audit_event where identity_id = $1 and action = 'credential.decryption_failed'`, [id])).rows[0]
          .count,
      )
    const before = await count()
    const { status, body, text } = await call()
    expect([status, body.code]).toEqual([500, 'decryption-failed'])
    expect(text).not.toMatch(/password of|"value"/)
    expect(await count()).toBe(before + 1)
    expect(logged.filter(({ alarm }) => alarm === 'decryption-failed')).toMatchObject([{ identityId: id }])
  }
}

async function nothingGranted(id: string): Promise<void> {
  const { rows } = await world.database.superuser(
    `select (select count(*)::int from lease where identity_id = $1 and state = 'active') as leases, (select count(*)::int from exposure where identity_id = $1) as exposures`,
    [id],
  )
  expect(rows).toEqual([{ leases: 0, exposures: 0 }])
}

describe('a stored value', () => {
  test.each([
    ['nonce', 3],
    ['body', 15],
    ['tag', -1],
  ])('with one flipped bit in its %s opens nowhere', async (part, at) => {
    const id = await world.addIdentity(`flipped ${part}`)
    const { ciphertext } = await rowOf(id)
    const flipped = Buffer.from(ciphertext)
    const index = at < 0 ? flipped.length + at : at
    flipped[index] = (flipped[index] as number) ^ 1
    await store(id, flipped)
    await expectRefused(
      id,
      () => checkout(id),
      () => ask(id, 'reveal'),
    )
    await nothingGranted(id)
    await store(id, ciphertext)
    expect((await checkout(id)).body.credential.value).toBe(`password of flipped ${part}`)
  })

  test('of another identity, of another version, of another key, cut short or empty opens nowhere', async () => {
    const [id, other] = [await world.addIdentity('swapped'), await world.addIdentity('donor')]
    const [own, theirs] = [await rowOf(id), await rowOf(other)]
    await store(id, theirs.ciphertext)
    await expectRefused(
      id,
      () => checkout(id),
      () => ask(id, 'reveal'),
    )
    for (const wrong of [own.ciphertext.subarray(0, 20), Buffer.alloc(0), own.ciphertext.subarray(0, -1)]) {
      await store(id, wrong)
      await expectRefused(id, () => checkout(id))
    }
    await world.call('mia', 'PATCH', `/v1/identities/${id}`, { body: { credential: 'the second one' } })
    await world.database.superuser('update credential_version set ciphertext = $2, key_id = $3 where identity_id = $1 and version = 2', [
      id,
      own.ciphertext,
      own.key_id,
    ])
    await expectRefused(
      id,
      () => checkout(id),
      () => ask(id, 'reveal'),
    )
    await nothingGranted(id)
  })

  test('that was changed under a lease is not shown again, not to its holder and not to a retry', async () => {
    const id = await world.addIdentity('held')
    const body = { reason: 'deploy 42', durationMinutes: 30 }
    const key = { 'idempotency-key': 'held-once' }
    const { lease } = (await world.post('sam', `/v1/identities/${id}/checkout`, body, key)).body
    const { ciphertext } = await rowOf(id)
    await store(id, Buffer.from(ciphertext).fill(1, 12, 13))
    await expectRefused(
      id,
      () => world.post('sam', `/v1/leases/${lease.id}/credential`),
      () => world.post('sam', `/v1/identities/${id}/checkout`, body, key),
    )
  })

  test('whose encryption version is turned back to plaintext shows nothing', async () => {
    const id = await world.addIdentity('turned back')
    await store(id, Buffer.from('chosen by an attacker'), ', encryption_version = 0')
    const { status, text } = await checkout(id)
    expect(status).toBe(500)
    expect(text).not.toContain('chosen')
    await nothingGranted(id)
  })
})
