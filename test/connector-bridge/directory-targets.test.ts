import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Login, Target } from '#connector/adapters/adapter.ts'
import type { RunningConnector } from '#connector/connector.ts'
import { IdentityId } from '#schemas/ids.ts'
import { createAuthority } from '#stack/certificates.ts'
import { startKeyStore } from '../support/key-store.ts'
import { mariaDbMissing, startMariaDb } from '../support/mariadb.ts'
import { slapdMissing, startSlapd } from '../support/slapd.ts'
import { runConnector } from './support.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

interface RealTarget {
  readonly target: Target
  readonly admin: Login
  readonly create: () => Promise<Login>
  readonly logsIn: (login: Login) => Promise<boolean>
  readonly end: () => Promise<void>
}

/** Accounts with two keys for a moment. */
async function startApi(): Promise<RealTarget> {
  const store = await startKeyStore()
  const logsIn = async ({ username, password }: Login): Promise<boolean> => store.keysOf(username).includes(password)
  return { target: store.twoKeys, admin: store.admin, create: async () => store.create(), logsIn, end: store.end }
}

describe.each([
  ['mysql', mariaDbMissing(), startMariaDb, 'password'],
  ['ldap', slapdMissing(), startSlapd, 'password'],
  ['http', undefined, startApi, 'api_key'],
] as const)('an account of %s', (adapter, missing, start: () => Promise<RealTarget>, credentialType) => {
  let world: BridgeWorld
  let real: RealTarget
  let running: RunningConnector
  let hostId: string

  beforeAll(async () => {
    if (missing !== undefined) return
    ;[world, real] = await Promise.all([createBridgeWorld(), start()])
    const { address, port, parameters } = real.target
    const connector = await world.joinConnector([`${address}:${port}`])
    running = runConnector(connector.home)
    hostId = await make('/v1/hosts', {
      organizationId: world.organizationId,
      name: adapter,
      address,
      port,
      adapter,
      connectorId: connector.id,
      adminIdentityId: await addIdentity(real.admin),
      parameters,
    })
  }, 60_000)
  afterAll(async () => {
    await running?.stop()
    await real?.end()
    await world?.end()
  })
  beforeEach((context) => context.skip(missing !== undefined, missing))

  async function make(route: string, body: object): Promise<string> {
    const answer = await world.call('POST', route, body)
    if (answer.status !== 201) throw new Error(`POST ${route}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body.id
  }

  const addIdentity = async ({ username, password }: Login, hostIds: readonly string[] = []): Promise<IdentityId> =>
    IdentityId.parse(
      await make('/v1/identities', {
        identityGroupId: world.vaultId,
        name: randomUUID(),
        username,
        credentialType,
        credential: password,
        hostIds,
      }),
    )

  test('is rotated through a connector: the vaulted value logs in and the old one is refused', async () => {
    const account = await real.create()
    const identityId = await addIdentity(account, [hostId])
    const rotation = await world.untilRotation(await world.rotate(identityId), 'confirmed')
    expect(rotation.jobs.map(({ state, epoch, attempts }) => ({ state, epoch, attempts }))).toEqual([{ state: 'confirmed', epoch: 1, attempts: 1 }])
    const password = await world.vaulted(identityId)
    expect(password).not.toBe(account.password)
    expect([await real.logsIn({ ...account, password }), await real.logsIn(account)]).toEqual([true, false])
  })

  test('is left alone when the host shows another certificate, and the job says so', async () => {
    const account = await real.create()
    const identityId = await addIdentity(account, [hostId])
    const ca = (await createAuthority('another one')).cert
    const { status } = await world.call('PATCH', `/v1/hosts/${hostId}`, { parameters: { ...real.target.parameters, ca } })
    expect(status).toBe(200)
    await world.rotate(identityId)
    await expect
      .poll(async () => (await world.call('GET', `/v1/jobs?identityId=${identityId}`)).body.items[0], { timeout: 10_000 })
      .toMatchObject({ state: 'waiting', attempts: 1, reason: 'certificate-mismatch' })
    expect(await real.logsIn(account)).toBe(true)
  })
})
