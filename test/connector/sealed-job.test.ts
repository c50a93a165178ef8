import { createHash } from 'node:crypto'
import { CompactEncrypt, CompactSign, exportJWK, generateKeyPair, type CryptoKey } from 'jose'
import { beforeAll, expect, test } from 'vitest'
import type { IdentityFile } from '#connector/identity-file.ts'
import { openSealedJob, type Recipient } from '#connector/sealed-job.ts'
import { jobType, type SealedJob } from '#schemas/connector-message.ts'

const connectorId = '0198c0de-0000-7000-8000-000000000002'
const step = { jobId: '0198c0de-0000-7000-8000-000000000001', epoch: 3 }
const job: SealedJob = {
  v: 1,
  jobId: step.jobId as SealedJob['jobId'],
  epoch: 3,
  connectorId: connectorId as SealedJob['connectorId'],
  kind: 'reset',
  deadlineMs: 10_000,
  target: { address: '10.0.0.1', port: 443, adapter: 'http', parameters: { calls: { set: { path: '/keys' } } } },
  account: { username: 'app' },
  staged: 'canary of a value',
  known: null,
  admin: null,
  macKey: 'A'.repeat(43),
  macKeyId: 'o1',
}
let recipient: Recipient
let ours: CryptoKey
let sealingKey: CryptoKey

beforeAll(async () => {
  const signing = await generateKeyPair('EdDSA', { extractable: true })
  const sealing = await generateKeyPair('ECDH-ES+A256KW', { crv: 'X25519', extractable: true })
  const encryptionKey = { ...(await exportJWK(sealing.privateKey)), kid: 'mine' } as IdentityFile['encryptionKey']
  const key = await exportJWK(signing.publicKey)
  ours = signing.privateKey
  sealingKey = sealing.publicKey
  recipient = { connectorId, encryptionKey, signingKeys: { keys: [{ ...key, kid: 'us', alg: 'EdDSA' }] } }
})

const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url')
interface Making {
  readonly text?: string
  readonly signed?: object
  readonly typ?: string
  readonly key?: CryptoKey
}

/** Sealed to the connector, as anybody can who knows its public key. */
async function sealed({ text = JSON.stringify(job), signed = {}, typ = jobType, key = ours }: Making = {}): Promise<string> {
  const payload = { v: 1, connectorId, ...step, digest: digestOf(text), ...signed }
  const jws = await new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader({ alg: 'EdDSA', kid: 'us', typ }).sign(key)
  return new CompactEncrypt(Buffer.from(`${jws}\n${text}`)).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' }).encrypt(sealingKey)
}

test('a job that the control plane has signed is opened', async () => {
  expect(await openSealedJob(recipient, await sealed(), step)).toEqual(job)
})

const elsewhere = JSON.stringify({ ...job, target: { ...job.target, address: '10.6.6.6' } })
const other = '0198c0de-0000-7000-8000-00000000000f'
const cases: readonly (readonly [what: string, make: () => Promise<Making> | Making])[] = [
  ['whose target was replaced under the signature of another one', () => ({ text: elsewhere, signed: { digest: digestOf(JSON.stringify(job)) } })],
  ['that somebody else signed under our name', async () => ({ text: elsewhere, key: (await generateKeyPair('EdDSA')).privateKey })],
  ['that we signed as something else', () => ({ typ: 'leasehold-offer+jws' })],
  ['that was signed for another connector', () => ({ signed: { connectorId: other } })],
  ['that was signed for another job', () => ({ signed: { jobId: other } })],
  ['that was signed for another epoch', () => ({ signed: { epoch: 2 } })],
  ['that is inside another one than its signature says', () => ({ text: JSON.stringify({ ...job, epoch: 2 }) })],
  ['with a field that is none', () => ({ text: JSON.stringify({ ...job, more: 1 }) })],
  ['that is no job', () => ({ text: '"canary of a value' })],
]
test.each(cases)('a job %s is not opened, and the reason tells nothing of it', async (_, make) => {
  const error = await openSealedJob(recipient, await sealed(await make()), step).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(Error)
  expect(String(error)).not.toContain('canary')
})

test('a job without a signature is not opened', async () => {
  const bare = await new CompactEncrypt(Buffer.from(JSON.stringify(job))).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' }).encrypt(sealingKey)
  await expect(openSealedJob(recipient, bare, step)).rejects.toThrow()
})
