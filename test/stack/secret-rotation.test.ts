import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectStatus, type ApiClient } from '#stack/api-client.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { useProduct, type Checkout, type Product } from './product.ts'

interface Secret {
  readonly version: number
  readonly versions: readonly { readonly version: number; readonly credentials: number; readonly texts: number }[]
  readonly reencryption: { readonly state: string; readonly toVersion: number; readonly resealed: number; readonly failed: number } | null
}

let stack: Stack
let product: Product
let mia: ApiClient
let organization: string
beforeAll(async () => {
  stack = await startStack()
  product = await useProduct(stack)
  mia = await product.clientOf('mia')
  organization = (await product.sql('select organization_id from identity where id = $1', [product.identityId('orders-db')])).rows[0].organization_id
}, 120_000)
afterAll(() => stack?.stop())

interface Texts {
  readonly requestId: string
  readonly leaseId: string
}

/** One of each kind of text that people write: an approved request, and an emergency that is signed. */
async function writeTexts(guarded: string, burning: string): Promise<Texts> {
  const ola = await product.clientOf('ola')
  const steps = [{ approvers: [{ type: 'permission' }] }]
  expectStatus(await mia.post('/v1/approval-policies', { identityId: guarded, steps }), 201)
  const asked = await product.sam.post<{ accessRequest: { id: string } }>(`/v1/identities/${guarded}/checkout`, {
    reason: 'asked for by a test',
    durationMinutes: 30,
  })
  const { id: requestId } = expectStatus(asked, 202).accessRequest
  expectStatus(await ola.post(`/v1/access-requests/${requestId}/decisions`, { version: 1, verdict: 'approve', comment: 'agreed to by a test' }), 200)
  const passphrase = 'seven quiet herons over the weir'
  expectStatus(await ola.put('/v1/me/break-glass-credential', { passphrase }), 200)
  const use = await ola.post<Checkout>(`/v1/identities/${burning}/break-glass`, {
    reason: 'INC-2042',
    justification: 'nobody answers',
    breakGlassCredential: passphrase,
  })
  const { id: leaseId } = expectStatus(use, 201).lease
  expectStatus(await ola.post(`/v1/leases/${leaseId}/checkin`, {}), 200)
  expectStatus(await mia.post(`/v1/break-glass-reviews/${leaseId}/sign`, { finding: 'found by a test' }), 200)
  return { requestId, leaseId }
}

async function readTexts({ requestId, leaseId }: Texts): Promise<string[]> {
  const request = expectStatus(await mia.get<{ reason: string; decisions: { comment: string }[] }>(`/v1/access-requests/${requestId}`), 200)
  const review = expectStatus(await mia.get<{ justification: string; finding: string }>(`/v1/break-glass-reviews/${leaseId}`), 200)
  return [request.reason, ...request.decisions.map(({ comment }) => comment), review.justification, review.finding]
}

const secret = async (): Promise<Secret> => expectStatus(await mia.get<Secret>(`/v1/organizations/${organization}/secret`), 200)

test('a new secret: everything is sealed under it in the end, also when the worker is killed half-way, and every credential opens at any time', async () => {
  const { identityGroupId } = expectStatus(await mia.get<{ identityGroupId: string }>(`/v1/identities/${product.identityId('orders-db')}`), 200)
  const names = Array.from({ length: 120 }, (_, index) => `kept ${index}`)
  const ids = new Map<string, string>()
  const add = async (name: string): Promise<string> => {
    const body = { identityGroupId, name, username: 'app', credentialType: 'password', credential: `value of ${name}` }
    return expectStatus(await mia.post<{ id: string }>('/v1/identities', body), 201).id
  }
  for (const name of names) ids.set(name, await add(name))
  const held = await product.takeWhenFree('reports-db')
  const request = await writeTexts(await add('guarded'), await add('burning'))
  const values = async () => {
    const shown = new Map<string, string>()
    for (const [name, id] of ids) shown.set(name, expectStatus(await mia.post<{ value: string }>(`/v1/identities/${id}/reveal`, {}), 200).value)
    return shown
  }

  expect((await mia.put(`/v1/organizations/${organization}/secret`, {})).status).toBe(409)
  await stack.restart('worker-1', 'page resealed')
  const starts = async () => (await stack.processes()).find(({ name }) => name === 'worker-1')?.starts ?? 0
  const before = await starts()
  expect((await mia.post(`/v1/organizations/${organization}/secret/rotate`, {})).status).toBe(202)
  const again = await mia.post<{ code: string }>(`/v1/organizations/${organization}/secret/rotate`, {})
  expect([again.status, again.body.code]).toEqual([409, 'reencryption-running'])
  expect([...(await values())].every(([name, value]) => value === `value of ${name}`)).toBe(true)
  await expect.poll(starts, { timeout: 30_000, interval: 100 }).toBeGreaterThan(before)
  const { credentials = 0 } = (await secret()).versions.find(({ version }) => version === 1) ?? {}
  expect(credentials).toBeGreaterThan(0)

  await expect.poll(async () => (await secret()).reencryption, { timeout: 60_000, interval: 500 }).toMatchObject({ state: 'done', toVersion: 2, failed: 0 })
  const { version, versions } = await secret()
  expect(version).toBe(2)
  expect(versions).toMatchObject([
    { version: 1, credentials: 0, texts: 0 },
    { version: 2, credentials: expect.any(Number) },
  ])
  expect([...(await values())].every(([name, value]) => value === `value of ${name}`)).toBe(true)
  const texts = await readTexts(request)
  expect(texts).toEqual(['asked for by a test', 'agreed to by a test', 'nobody answers', 'found by a test'])
  const shown = expectStatus(await product.sam.post<Checkout['credential']>(`/v1/leases/${held.lease.id}/credential`, {}), 200)
  expect(shown.value).toBe(held.credential.value)
  expectStatus(await product.checkin(held.lease), 200)
  const used = await product.takeWhenFree('orders-db')
  const { rotationId } = expectStatus(await product.checkin(used.lease), 200).lease
  await product.untilConfirmed(rotationId as string)
  expect(await product.refused(await product.reveal('orders-db'))).toBeUndefined()
  const { rows } = await product.sql(`select outcome from audit_event where action = 'organization_secret.reencrypted'`)
  expect(rows).toEqual([{ outcome: 'success' }])
}, 180_000)
