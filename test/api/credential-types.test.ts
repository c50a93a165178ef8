import { generateKeyPairSync } from 'node:crypto'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ed25519Key } from '../support/ed25519-key.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

let made = 0
const create = (credentialType: string, credential: string) =>
  world.post('mia', '/v1/identities', { identityGroupId: world.vaultId, name: `typed ${(made += 1)}`, username: 'app', credentialType, credential })
const change = (id: string, body: object) => world.call('mia', 'PATCH', `/v1/identities/${id}`, { body })
const reveal = async (id: string) => (await world.post('mia', `/v1/identities/${id}/reveal`)).body.value
const faults = (answer: { status: number; body: any }) => [answer.status, answer.body.errors]
const fault = (message: unknown) => [422, [{ path: 'credential', message }]]

const key = ed25519Key()
const another = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256 })

describe('an SSH key', () => {
  test('answers its public half and fingerprint, and is shown as it was stored', async () => {
    const answer = await create('ssh_key', key.private)
    const fingerprint = `SHA256:${await sha256(key.public)}`
    expect(answer.body).toMatchObject({ credentialType: 'ssh_key', publicKey: key.public.trim(), publicKeyFingerprint: fingerprint })
    expect((await world.call('vic', 'GET', `/v1/identities/${answer.body.id}`)).body).toEqual(answer.body)
    expect(answer.text).not.toContain('PRIVATE KEY')
    expect(await reveal(answer.body.id)).toBe(key.private)
  })

  test('that is replaced answers the public half of the new one; a password has none', async () => {
    const { id } = (await create('ssh_key', key.private)).body
    expect((await change(id, { credential: another.private })).body).toMatchObject({ publicKey: another.public.trim(), credentialVersion: 2 })
    expect((await change(id, { credentialType: 'password', credential: 'words' })).body).toMatchObject({ publicKey: null, publicKeyFingerprint: null })
  })

  test('that is locked, weak or none is refused by name of the field and rule, never by value', async () => {
    const locked = ssh2.utils.generateKeyPairSync('ed25519', { passphrase: 'secret', cipher: 'aes256-cbc', rounds: 16 }).private
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    for (const [text, message] of [
      [locked, expect.stringContaining('without a passphrase')],
      [weak, expect.stringContaining('2048')],
      ['canary-garbage', expect.stringContaining('OpenSSH or PEM')],
      [`${key.private}${'canary'.repeat(6_000)}`, 'must be at most 32768 bytes long'],
    ] as const) {
      const answer = await create('ssh_key', text)
      expect(faults(answer)).toEqual(fault(message))
      expect(answer.text).not.toMatch(/canary|PRIVATE/)
    }
    const { id } = (await create('ssh_key', key.private)).body
    expect(faults(await change(id, { credential: 'canary-garbage' }))).toEqual(fault(expect.anything()))
    expect(await reveal(id)).toBe(key.private)
  })
})

describe('a password or API key', () => {
  test.each(['password', 'api_key'])('is one line: %s', async (type) => {
    for (const character of ['\n', '\r', '\t', '\u0007', '\u007f', '\u0085', '\u2028']) {
      expect(faults(await create(type, `canary${character}x`))).toEqual(fault('must be one line without control characters'))
    }
    const { id } = (await create(type, 'pässwörd 🔑 " \\ \'')).body
    expect(await reveal(id)).toBe('pässwörd 🔑 " \\ \'')
  })

  test('has a length of its type, in bytes', async () => {
    expect((await create('password', 'é'.repeat(2_048))).status).toBe(201)
    expect(faults(await create('password', `${'é'.repeat(2_048)}x`))).toEqual(fault('must be at most 4096 bytes long'))
    expect((await create('api_key', 'x'.repeat(16_384))).status).toBe(201)
    expect(faults(await create('api_key', 'x'.repeat(16_385)))).toEqual(fault('must be at most 16384 bytes long'))
  })
})

describe('another type', () => {
  test('of credential keeps lines and tabs as they are, up to 64 KiB', async () => {
    const text = `{\n\t"key": "value"\n}\n`
    expect(await reveal((await create('other', text)).body.id)).toBe(text)
    expect((await create('other', 'x'.repeat(65_536))).status).toBe(201)
    expect(faults(await create('other', 'x'.repeat(65_537)))).toEqual([422, [expect.objectContaining({ path: 'credential' })]])
  })

  test('comes with a value of its form: what is stored was never held against it', async () => {
    const { id } = (await create('other', 'two\nlines')).body
    for (const credentialType of ['password', 'ssh_key']) {
      expect(faults(await change(id, { credentialType }))).toEqual(fault('is required with this credentialType'))
    }
    expect(faults(await change(id, { credentialType: 'ssh_key', credential: 'none' }))).toEqual(fault(expect.anything()))
    expect((await change(id, { credentialType: 'ssh_key', credential: key.private })).body).toMatchObject({ publicKey: key.public.trim() })
    expect((await change(id, { credentialType: 'other' })).status).toBe(200)
  })
})

async function sha256(line: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', Buffer.from(line.split(' ')[1] ?? '', 'base64'))
  return Buffer.from(digest).toString('base64').replace(/=+$/, '')
}
