import { compactDecrypt, decodeProtectedHeader, exportJWK, generateKeyPair } from 'jose'
import { expect, test } from 'vitest'
import { Secret } from '#schemas/secret.ts'
import { sealForConnector, type EncryptionJwk } from '#secrets/job-sealing.ts'

const pair = () => generateKeyPair('ECDH-ES+A256KW', { crv: 'X25519', extractable: true })
const { publicKey, privateKey } = await pair()
const jwk = { ...(await exportJWK(publicKey)), kid: 'connector-1' } as EncryptionJwk
const job = { password: 'Tr0ub4dor&3', admin: { password: 'p4ssw0rd' } }
const sealed = () => sealForConnector(jwk, Secret.of(JSON.stringify(job)), { jobId: 'j', epoch: 2 })

test('a sealed job opens with the key of its connector, and names the claim in its authenticated header', async () => {
  const { plaintext, protectedHeader } = await compactDecrypt(await sealed(), privateKey, {
    keyManagementAlgorithms: ['ECDH-ES+A256KW'],
    contentEncryptionAlgorithms: ['A256GCM'],
  })
  expect(JSON.parse(Buffer.from(plaintext).toString())).toEqual(job)
  expect(protectedHeader).toMatchObject({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: 'connector-1', jobId: 'j', epoch: 2, epk: { kty: 'OKP', crv: 'X25519' } })
})

test('a sealed job does not open with another key, nor with another header', async () => {
  await expect(compactDecrypt(await sealed(), (await pair()).privateKey)).rejects.toThrow()
  const [header = '', ...rest] = (await sealed()).split('.')
  const changed = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), epoch: 3 })).toString('base64url')
  await expect(compactDecrypt([changed, ...rest].join('.'), privateKey)).rejects.toThrow()
})

test('a sealed job shows no value, uses a fresh ephemeral key each time, and cannot be given another algorithm', async () => {
  const [one, other] = [await sealed(), await sealForConnector(jwk, Secret.of(JSON.stringify(job)), { alg: 'dir', enc: 'A128GCM', kid: 'x' })]
  expect(decodeProtectedHeader(one)['epk']).not.toEqual(decodeProtectedHeader(other)['epk'])
  expect(decodeProtectedHeader(other)).toMatchObject({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: 'connector-1' })
  expect(Buffer.from(one.split('.').join(''), 'base64url').toString('latin1')).not.toContain('Tr0ub4dor')
})

test.each([
  ['too short', { ...jwk, x: 'AAAA' }],
  ['of low order', { ...jwk, x: Buffer.alloc(32).toString('base64url') }],
])('a connector key that is %s is refused', async (_what, key) => {
  await expect(sealForConnector(key, Secret.of(JSON.stringify(job)), {})).rejects.toThrow()
})
