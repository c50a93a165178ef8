import { createPublicKey, verify } from 'node:crypto'
import { compactVerify, createLocalJWKSet } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createOpenBao } from '#secrets/openbao.ts'
import { createTransit, type Transit } from '#secrets/transit.ts'
import { startOpenBao, type TestOpenBao } from '#test/support/openbao.ts'

let server: TestOpenBao
let transit: Transit
beforeAll(async () => {
  server = await startOpenBao()
  transit = createTransit(server.as('leasehold-bridge'))
}, 40_000)
afterAll(() => server.stop())

test('a signature verifies under the published public key, and under no other message', async () => {
  const key = await transit.signingKey('nats-operator')
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: key.publicKey.toString('base64url') }, format: 'jwk' })
  const signature = await transit.sign(key, Buffer.from('message'))
  expect(signature).toHaveLength(64)
  expect(verify(null, Buffer.from('message'), publicKey, signature)).toBe(true)
  expect(verify(null, Buffer.from('massage'), publicKey, signature)).toBe(false)
})

test('an offer that the bridge signed verifies with the keys that the API publishes', async () => {
  const jws = await transit.signJws(await transit.signingKey('connector-signing'), 'leasehold-offer', { jobId: 'j', epoch: 2 })
  const keys = await createTransit(server.as('leasehold-api')).jwks('connector-signing')
  const { payload, protectedHeader } = await compactVerify(jws, createLocalJWKSet(keys), { algorithms: ['EdDSA'] })
  expect(JSON.parse(Buffer.from(payload).toString())).toEqual({ jobId: 'j', epoch: 2 })
  expect(protectedHeader).toEqual({ alg: 'EdDSA', kid: 'connector-signing.1', typ: 'leasehold-offer' })
})

test('after a rotation of the key new offers name the new one and old ones still verify', async () => {
  const old = await transit.signJws(await transit.signingKey('connector-signing'), 'leasehold-offer', { jobId: 'old' })
  const admin = createOpenBao({ url: server.url, roleId: server.boot.bootRoleId, secretId: server.boot.bootSecretId })
  await admin.write(['leasehold-transit', 'keys', 'connector-signing', 'rotate'], {})
  const fresh = await transit.signJws(await transit.signingKey('connector-signing'), 'leasehold-offer', { jobId: 'new' })
  const keys = createLocalJWKSet(await transit.jwks('connector-signing'))
  expect((await compactVerify(old, keys)).protectedHeader.kid).toBe('connector-signing.1')
  expect((await compactVerify(fresh, keys)).protectedHeader.kid).toBe('connector-signing.2')
})

test('a key is made once and stays', async () => {
  await Promise.all([transit.ensureSigningKey('nats-org-once'), transit.ensureSigningKey('nats-org-once')])
  const made = await transit.signingKeys('nats-org-once')
  await transit.ensureSigningKey('nats-org-once')
  expect(await transit.signingKeys('nats-org-once')).toEqual(made)
  expect(made.map(({ version }) => version)).toEqual([1])
})

test('a key that is not there is an error that names it', async () => {
  await expect(transit.signingKey('nats-org-absent')).rejects.toThrow('OpenBao has no transit key nats-org-absent')
})
