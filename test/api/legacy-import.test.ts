import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AccountId, OrganizationId } from '#schemas/ids.ts'
import { acme } from '#stack/people.ts'
import { legacyVersion0, legacyVersion1 } from '../support/legacy-row.ts'
import { createApiWorld, type ApiWorld } from './world.ts'
import { ed25519Key } from '../support/ed25519-key.ts'

/** Rows from before vault keys: taken and read while the organization is open for them, sealed anew by whoever reads them first. */

const logged: Record<string, unknown>[] = []
let world: ApiWorld
/** Of an organization of its own, because closing is final. */
let organizationId: string
let vaultId: string

beforeAll(async () => {
  world = await createApiWorld({ log: pino({ level: 'error' }, { write: (line: string) => void logged.push(JSON.parse(line)) }) })
})
beforeEach(async () => {
  organizationId = await make('/v1/organizations', { name: randomUUID() })
  await world.call('mia', 'PUT', `/v1/organizations/${organizationId}/secret`, { body: {} })
  vaultId = await make('/v1/identity-groups', { organizationId, name: 'imported' })
  const sam = acme.users.find((user) => user.sub === 'sam')
  await make(`/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'user', id: sam?.idpId }, level: 'checkout' })
})
afterAll(() => world?.end())

const make = async (path: string, body: object): Promise<string> => (await world.post('mia', path, body)).body.id
const importPath = () => `/v1/organizations/${organizationId}/legacy-import`
const open = (sub = 'mia') => world.post(sub, `${importPath()}/open`)
const close = (sub = 'mia') => world.post(sub, `${importPath()}/close`)
const state = async () => (await world.call('mia', 'GET', importPath())).body
const rows = async (text: string, values: unknown[]) => (await world.database.superuser(text, values)).rows
const stored = async (id: string) =>
  (await rows('select encryption_version, key_id, ciphertext from credential_version where identity_id = $1 order by version', [id]))[0]
const reveal = (id: string) => world.post('sam', `/v1/identities/${id}/reveal`)
const checkout = (id: string) => world.post('sam', `/v1/identities/${id}/checkout`, { reason: 'deploy 42', durationMinutes: 30 })

async function version1(value: string): Promise<string> {
  return legacyVersion1(await world.parts.organizationSecrets.read(acme.id as AccountId, organizationId as OrganizationId, 1), value)
}
const row = (encryptionVersion: number, ciphertext: string, more: object = {}) => ({
  identityGroupId: vaultId,
  name: randomUUID(),
  username: 'app',
  credentialType: 'password',
  encryptionVersion,
  ciphertext,
  ...more,
})
const send = (items: object[], sub = 'mia', headers = {}) => world.post(sub, importPath(), { rows: items }, headers)
async function imported(...items: object[]): Promise<string[]> {
  await open()
  const answer = await send(items)
  expect(answer.status).toBe(201)
  return answer.body.identities.map(({ id }: { id: string }) => id)
}

describe('a legacy row', () => {
  test('of version 0 and one of version 1 are kept as they came, and are version 2 once they were read', async () => {
    const [plain, sealed] = [legacyVersion0('plain 🔑 wörds'), await version1('pässwörd')]
    const [zero, one] = (await imported(row(0, plain), row(1, sealed))) as [string, string]
    expect([await stored(zero), await stored(one)]).toEqual([
      { encryption_version: 0, key_id: 'legacy', ciphertext: Buffer.from(plain, 'base64') },
      { encryption_version: 1, key_id: 'legacy', ciphertext: Buffer.from(sealed, 'base64') },
    ])
    expect(await state()).toEqual({ state: 'open', closedAt: null, remaining: { version0: 1, version1: 1 } })
    for (const [id, value, from] of [
      [zero, 'plain 🔑 wörds', 0],
      [one, 'pässwörd', 1],
    ] as const) {
      expect((await reveal(id)).body.value).toBe(value)
      const now = await stored(id)
      expect(now).toMatchObject({ encryption_version: 2, key_id: 'o1' })
      expect(now?.ciphertext.includes(value)).toBe(false)
      const events = await rows(`select detail from audit_event where identity_id = $1 and action = 'credential.upgraded'`, [id])
      expect(events).toEqual([{ detail: { credentialVersion: 1, from, to: 2 } }])
      expect((await reveal(id)).body.value).toBe(value)
      expect(await rows(`select 1 from audit_event where identity_id = $1 and action = 'credential.upgraded'`, [id])).toHaveLength(1)
    }
    expect((await state()).remaining).toEqual({ version0: 0, version1: 0 })
  })

  test('is sealed anew by a checkout, and by reading the credential of a lease', async () => {
    const [id, other] = (await imported(row(1, await version1('one')), row(0, legacyVersion0('two')))) as [string, string]
    const taken = await checkout(id)
    expect([taken.status, taken.body.credential.value, (await stored(id))?.encryption_version]).toEqual([201, 'one', 2])
    const { lease } = (await checkout(other)).body
    // As if it had been imported under a lease of before.
    await world.database.superuser(`update credential_version set encryption_version = 0, key_id = 'legacy', ciphertext = $2 where identity_id = $1`, [
      other,
      Buffer.from('two'),
    ])
    const read = await world.post('sam', `/v1/leases/${lease.id}/credential`)
    expect([read.status, read.body.value, (await stored(other))?.encryption_version]).toEqual([200, 'two', 2])
  })

  test('is sealed anew by a move, under the key of the other vault', async () => {
    const [id] = (await imported(row(0, legacyVersion0('wanderer')))) as [string]
    const other = await make('/v1/identity-groups', { organizationId, name: 'other' })
    expect((await world.post('mia', `/v1/identities/${id}/move`, { identityGroupId: other })).status).toBe(200)
    expect(await stored(id)).toMatchObject({ encryption_version: 2, key_id: 'o1' })
    expect((await world.post('mia', `/v1/identities/${id}/reveal`)).body.value).toBe('wanderer')
  })

  test('read by many at once gives its value to all, and is sealed anew once', async () => {
    const [id] = (await imported(row(1, await version1('shared')))) as [string]
    const answers = await Promise.all(Array.from({ length: 6 }, () => reveal(id)))
    expect(answers.map(({ body }) => body.value)).toEqual(Array(6).fill('shared'))
    expect(await rows(`select 1 from audit_event where identity_id = $1 and action = 'credential.upgraded'`, [id])).toHaveLength(1)
  })

  test('still opens after the organization secret got a new version: its key is of the first one', async () => {
    const [id] = (await imported(row(1, await version1('first secret')))) as [string]
    await world.post('mia', `/v1/organizations/${organizationId}/secret/rotate`)
    const secret = (await world.call('mia', 'GET', `/v1/organizations/${organizationId}/secret`)).body
    expect(secret.versions).toMatchObject([
      { version: 1, credentials: 1 },
      { version: 2, credentials: 0 },
    ])
    expect((await reveal(id)).body.value).toBe('first secret')
    expect(await stored(id)).toMatchObject({ encryption_version: 2, key_id: 'o2' })
  })

  test('of an SSH key shows its public half; what is no key by the rules of today is kept all the same', async () => {
    const key = ed25519Key()
    const [id, old] = (await imported(
      row(1, await version1(key.private), { credentialType: 'ssh_key' }),
      row(0, legacyVersion0('some old key'), { credentialType: 'ssh_key' }),
    )) as [string, string]
    expect((await world.call('mia', 'GET', `/v1/identities/${id}`)).body.publicKey).toBe(key.public.trim())
    expect((await world.call('mia', 'GET', `/v1/identities/${old}`)).body.publicKey).toBeNull()
    expect((await reveal(old)).body.value).toBe('some old key')
  })
})

async function expectTampered(id: string, ...calls: (() => ReturnType<typeof reveal>)[]): Promise<void> {
  const count = async () => (await rows(`select 1 from audit_event where identity_id = $1 and action = 'credential.decryption_failed'`, [id])).length
  for (const call of calls) {
    const before = await count()
    logged.length = 0
    const { status, body, text } = await call()
    expect([status, body.code, await count()]).toEqual([500, 'decryption-failed', before + 1])
    expect(logged.filter(({ alarm }) => alarm === 'decryption-failed')).toMatchObject([{ identityId: id }])
    expect(text).not.toMatch(/canary|"value"/)
  }
}

describe('where legacy rows are not open', () => {
  test('a row of version 0 or 1 is refused like a tampered one, and stays as it is', async () => {
    const ids = await imported(row(0, legacyVersion0('canary 0')), row(1, await version1('canary 1')))
    const closed = await close()
    expect([closed.status, closed.body]).toEqual([200, { state: 'closed', closedAt: expect.any(String), remaining: { version0: 1, version1: 1 } }])
    for (const id of ids) {
      await expectTampered(
        id,
        () => reveal(id),
        () => checkout(id),
      )
      expect((await stored(id))?.encryption_version).toBeLessThan(2)
    }
  })

  test('nothing is imported, and closing is final: by request, by request to open, and in the database itself', async () => {
    const refused = await send([row(0, legacyVersion0('x'))])
    expect([refused.status, refused.body.code]).toEqual([409, 'legacy-closed'])
    await open()
    const { closedAt } = (await close()).body
    expect((await close()).body.closedAt).toBe(closedAt)
    expect([(await send([row(0, legacyVersion0('x'))])).body.code, (await open()).body.code]).toEqual(['legacy-closed', 'legacy-closed'])
    for (const change of ['legacy_open = true', 'legacy_open = true, legacy_closed_at = null', 'legacy_closed_at = null']) {
      await expect(world.database.superuser(`update organization set ${change} where id = $1`, [organizationId])).rejects.toThrow('stays closed')
    }
    expect((await state()).state).toBe('closed')
    const events = await rows(`select action, detail from audit_event where organization_id = $1 and action like 'legacy.%' order by id`, [organizationId])
    expect(events).toEqual([
      { action: 'legacy.opened', detail: null },
      { action: 'legacy.closed', detail: { remaining: { version0: 0, version1: 0 } } },
    ])
  })
})

test('a value of today is not turned back to plaintext while legacy rows are open, unless it is made to look imported', async () => {
  await open()
  const id = await make('/v1/identities', { identityGroupId: vaultId, name: 'present', username: 'app', credentialType: 'password', credential: 'canary' })
  await world.database.superuser(`update credential_version set encryption_version = 0, ciphertext = 'canary of an attacker' where identity_id = $1`, [id])
  await expectTampered(
    id,
    () => reveal(id),
    () => checkout(id),
  )
})

test('a legacy row of version 1 with one flipped bit opens nowhere', async () => {
  const [id] = (await imported(row(1, await version1('canary')))) as [string]
  const { ciphertext } = (await stored(id)) as { ciphertext: Buffer }
  ciphertext[14] = (ciphertext[14] as number) ^ 1
  await world.database.superuser('update credential_version set ciphertext = $2 where identity_id = $1', [id, ciphertext])
  await expectTampered(
    id,
    () => reveal(id),
    () => checkout(id),
  )
})

test.each(['o99', 'x', ''])('a value that names a key that there is not, %j, is tampered with', async (keyId) => {
  const id = await make('/v1/identities', { identityGroupId: vaultId, name: 'keyless', username: 'app', credentialType: 'password', credential: 'canary' })
  await world.database.superuser('update credential_version set key_id = $2 where identity_id = $1', [id, keyId])
  await expectTampered(
    id,
    () => reveal(id),
    () => checkout(id),
  )
})

describe('an import', () => {
  test('answers its identities in order, keeps their settings, and is done once per Idempotency-Key', async () => {
    await open()
    const items = [
      row(0, legacyVersion0('one'), { rotationIntervalDays: 30 }),
      row(1, await version1('two'), { allowConcurrentCheckout: true, maxConcurrentSessions: 3 }),
    ]
    const headers = { 'idempotency-key': randomUUID() }
    const first = await send(items, 'mia', headers)
    expect(first.body.identities.map(({ name }: { name: string }) => name)).toEqual(items.map(({ name }) => name))
    expect((await send(items, 'mia', headers)).body).toEqual(first.body)
    const [one, two] = first.body.identities
    expect((await world.call('mia', 'GET', `/v1/identities/${one.id}`)).body).toMatchObject({ rotationIntervalDays: 30, credentialVersion: 1 })
    expect((await world.call('mia', 'GET', `/v1/identities/${two.id}`)).body).toMatchObject({ maxConcurrentSessions: 3 })
    expect(await rows(`select detail from audit_event where organization_id = $1 and action = 'legacy.imported'`, [organizationId])).toEqual([
      { detail: { version0: 1, version1: 1 } },
    ])
    expect(await rows(`select hash from password_history where identity_id = any($1)`, [[one.id, two.id]])).toHaveLength(2)
  })

  test('takes all rows or none, and names those that are wrong and never their bytes', async () => {
    await open()
    const good = row(0, legacyVersion0('good'))
    const foreign = await version1('canary')
    const wrong = Buffer.from(foreign, 'base64').fill(1, 20, 21).toString('base64')
    const faults = async (...items: object[]) => {
      const { status, body, text } = await send([good, ...items])
      expect(status).toBe(422)
      expect(text).not.toContain(wrong)
      return body.errors.map(({ path }: { path: string }) => path)
    }
    expect(await faults(row(1, wrong), row(1, 'AAAA'), row(0, Buffer.of(0xff, 0xfe).toString('base64')))).toEqual([
      'rows.1.ciphertext',
      'rows.2.ciphertext',
      'rows.3.ciphertext',
    ])
    expect(
      await faults(row(0, legacyVersion0('x'), { identityGroupId: world.vaultId }), row(0, legacyVersion0('x'), { identityGroupId: randomUUID() })),
    ).toEqual(['rows.1.identityGroupId', 'rows.2.identityGroupId'])
    expect(await faults(row(0, legacyVersion0('x'), { rotateAfterUse: true }))).toEqual(['rows.1.rotateAfterUse'])
    expect(await faults(row(2, legacyVersion0('x')))).toEqual(['rows.1.encryptionVersion'])
    expect(await faults(row(0, 'no base64!'), row(0, ''))).toEqual(['rows.1.ciphertext', 'rows.2.ciphertext'])
    expect(await faults(row(0, legacyVersion0('x'), { afterUseGraceMinutes: 5 }))).toEqual(['rows.1.afterUseGraceMinutes'])
    const twice = await send([good, good])
    expect([twice.status, twice.body.code, twice.body.detail]).toEqual([409, 'already-exists', 'Row 1: This exists already'])
    expect(await rows('select 1 from identity where vault_id = $1', [vaultId])).toEqual([])
  })

  test('of 50 rows is one request; of 51 it is not', async () => {
    await open()
    const items = (count: number) => Array.from({ length: count }, (_, index) => row(0, legacyVersion0(`value ${index}`)))
    // On a busy machine fifty may take longer than a transaction gets; nothing of them is there then.
    await expect.poll(async () => (await send(items(50))).status, { timeout: 50_000 }).toBe(201)
    expect((await send(items(51))).status).toBe(422)
  }, 60_000)

  test('and opening and closing are for organizations.manage with a strong login', async () => {
    for (const sub of ['sam', 'vic']) {
      expect([(await open(sub)).status, (await send([row(0, legacyVersion0('x'))], sub)).status, (await close(sub)).status]).toEqual([403, 403, 403])
    }
    const weak = { authorization: `Bearer ${await world.issuer.token('ola', { acr: 'pwd' })}` }
    for (const path of [`${importPath()}/open`, `${importPath()}/close`]) expect((await world.post('ola', path, {}, weak)).status).toBe(401)
    expect([(await open('ola')).status, (await send([row(0, legacyVersion0('x'))], 'ola')).status, (await close('ola')).status]).toEqual([200, 201, 200])
    expect((await world.call('gus', 'GET', importPath())).status).toBe(404)
  })
})
