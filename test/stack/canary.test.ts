import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { readHome, readJson, type Home } from '#stack/home.ts'
import { accessToken } from '#stack/login.ts'
import { credentialsFile } from '#stack/role-credentials.ts'
import { runTour } from '#stack/run-tour.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { needlesOf, scan, type Needle, type Sink } from '../canary/needles.ts'
import { databaseSinks, fileSinks, processSinks, tapNats, type NatsTap } from '../canary/sinks.ts'
import { useProduct, type Checkout, type Product } from './product.ts'

/** Secrets and reasons are planted and everything is used; then every place that remembers anything is searched for them. */

let stack: Stack
let product: Product
let tap: NatsTap
const answers: Buffer[] = []
beforeAll(async () => {
  stack = await startStack({ roleEnvironment: { LEASEHOLD_LOG_LEVEL: 'debug' } })
  product = await useProduct(stack)
  tap = await tapNats(stack)
}, 120_000)
afterAll(async () => {
  await tap?.close()
  await stack?.stop()
})

/** A caller whose answers are kept, except those that are made to show a value. */
async function recorded(user: string): Promise<{ readonly api: ApiClient; readonly token: string }> {
  const token = await accessToken({ home: stack.home, user, acr: 'mfa' })
  const reach: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    const { pathname } = new URL(String(input))
    const shows = response.status < 300 && /\/(checkout|credential|reveal)$/.test(pathname)
    // A join token is shown once, to whoever registers a connector.
    if (!shows && pathname !== '/v1/connectors') answers.push(Buffer.from(await response.clone().arrayBuffer()))
    return response
  }
  return { api: apiClient(stack.urls.api, token, reach), token }
}

const sinks = async (more: readonly number[] = []): Promise<Sink[]> => [
  ...(await databaseSinks(stack)),
  ...fileSinks(stack),
  ...(await processSinks(stack, more)),
  tap.sink(),
  { name: 'API answers', bytes: Buffer.concat(answers) },
]

test('after the tour, uses, rotations and kills no secret and no reason is anywhere but where it is meant to be', async () => {
  const needles: Needle[] = []
  const plant = (name: string, secret: string | Buffer) => void needles.push(...needlesOf(name, secret))
  const random = () => randomBytes(12).toString('base64url')
  const [mia, sam] = [await recorded('mia'), await recorded('sam')]
  for (const [name, { token }] of Object.entries({ mia, sam })) plant(`access token of ${name}`, token.split('.')[2] as string)

  await runTour(readHome(stack.home) as Home, () => {})
  const identity = expectStatus(
    await mia.api.get<{ identityGroupId: string; organizationId: string }>(`/v1/identities/${product.identityId('orders-db')}`),
    200,
  )
  const { identityGroupId, organizationId } = identity
  const stored = `stored/${random()}+"ü`
  plant('credential that a person stored', stored)
  const body = { identityGroupId, name: 'canary', username: 'canary', credentialType: 'password', credential: stored }
  const { id } = expectStatus(await mia.api.post<{ id: string }>('/v1/identities', body), 201)
  const { joinToken } = expectStatus(await mia.api.post<{ joinToken: string }>('/v1/connectors', { organizationId, name: 'canary' }), 201)
  plant('join token', joinToken)

  for (const killed of [undefined, 'worker-1', 'connector']) {
    const reason = `reason ${random()} "ü/`
    plant('reason', reason)
    await product.untilFree('orders-db')
    const checkout = expectStatus(
      await sam.api.post<Checkout>(`/v1/identities/${product.identityId('orders-db')}/checkout`, { reason, durationMinutes: 30 }),
      201,
    )
    plant('password that was checked out', checkout.credential.value)
    expectStatus(await sam.api.post(`/v1/leases/${checkout.lease.id}/credential`, {}), 200)
    expectStatus(await sam.api.post(`/v1/leases/${checkout.lease.id}/extend`, { minutes: 5 }), 200)
    const { rotationId } = expectStatus(await product.checkin(checkout.lease), 200).lease
    if (killed !== undefined) await stack.kill(killed)
    await product.untilConfirmed(rotationId as string, 90_000)
    const shown = expectStatus(await sam.api.post<{ value: string }>(`/v1/identities/${product.identityId('orders-db')}/reveal`, { reason }), 200)
    plant('password that a rotation made', shown.value)
  }
  // Refusals must not repeat what they refuse.
  const refusedReason = `refused ${random()}`.padEnd(600, 'x')
  plant('reason that was too long', refusedReason)
  expect((await sam.api.post(`/v1/identities/${id}/checkout`, { reason: refusedReason, durationMinutes: 30 })).status).toBe(422)
  const secrets = await organizationSecret(organizationId)
  plant('organization secret', secrets)
  for (const list of ['identities', 'leases', 'rotations', 'jobs', 'audit/events', 'hosts', 'connectors']) await mia.api.get(`/v1/${list}?limit=200`)

  // Those who may read reasons get them: the owner, in leases and in the log.
  const meant = (find: string): boolean => /^reason \(.+\) in API answers$/.test(find)
  const finds = scan(await sinks(), needles)
  expect(finds.filter((find) => !meant(find))).toEqual([])
  expect(finds.some(meant)).toBe(true)
}, 240_000)

test('the scan finds what is planted, in every place that it searches', async () => {
  const canary = `planted-${randomBytes(12).toString('base64url')}`
  const needles = needlesOf('it', canary)
  const { api } = await recorded('mia')
  expectStatus(await api.post('/v1/organizations', { name: canary }), 201)
  for (const file of ['logs/api-1.log', 'logs/worker-1.log', 'logs/bridge.log', 'logs/connector.log', 'nats/canary.log'])
    appendFileSync(path.join(stack.home, file), `${canary}\n`)
  writeFileSync(path.join(stack.home, 'connector/canary'), Buffer.from(canary).toString('base64'))
  await tap.publish('pam.v1.canary', JSON.stringify({ canary }))
  await fetch(`${stack.urls.openbao}/v1/leasehold/data/${canary}`, { headers: { 'x-vault-token': 'none' } })
  const connection = await Connection.connect({ address: stack.urls.temporal })
  await new Client({ connection, namespace: 'leasehold' }).workflow.start('nobody', { taskQueue: 'nobody', workflowId: 'canary', args: [canary] })
  await connection.close()
  const leaking = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)', canary], { env: { ...process.env, CANARY: canary } })
  try {
    const places = () => sinks([leaking.pid as number]).then((all) => new Set(scan(all, needles).map((find) => find.replace(/^it \(.+\) in /, ''))))
    const expected = [
      'API answers',
      'NATS traffic',
      'cmdline of a process',
      'connector/canary',
      'environ of a process',
      'logs/api-1.log',
      'logs/bridge.log',
      'logs/connector.log',
      'logs/worker-1.log',
      'nats/canary.log',
      'openbao/audit.log',
      'table organization',
    ]
    await expect.poll(async () => [...(await places())].filter((place) => expected.includes(place)).sort(), { timeout: 10_000 }).toEqual(expected)
    expect([...(await places())].some((place) => place.startsWith('temporal/'))).toBe(true)
  } finally {
    leaking.kill()
  }
}, 60_000)

async function organizationSecret(organizationId: string): Promise<Buffer> {
  const { openbao } = readJson<{ openbao: { roleId: string; secretId: string } }>(credentialsFile(readHome(stack.home) as Home, 'api'))
  const { rows } = await product.sql('select account_id from organization where id = $1', [organizationId])
  const secret = await createOrganizationSecrets(createOpenBao({ url: stack.urls.openbao, ...openbao })).read(rows[0].account_id, organizationId as never, 1)
  return secret.expose()
}
