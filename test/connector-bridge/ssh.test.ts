import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { RunningConnector } from '#connector/connector.ts'
import { IdentityId } from '#schemas/ids.ts'
import { openLinuxAccounts, type LinuxAccount, type LinuxAccounts } from '../support/linux-accounts.ts'
import { sshdMissing, startSshd, type TestSshd } from '../support/sshd.ts'
import { runConnector } from './support.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

const missing = sshdMissing()
let world: BridgeWorld
let accounts: LinuxAccounts
let sshd: TestSshd
let running: RunningConnector
let hostId: string

beforeAll(async () => {
  if (missing !== undefined) return
  accounts = openLinuxAccounts()
  ;[world, sshd] = await Promise.all([createBridgeWorld(), startSshd()])
  const connector = await world.joinConnector([`${sshd.address}:${sshd.port}`])
  running = runConnector(connector.home)
  hostId = await make('/v1/hosts', {
    organizationId: world.organizationId,
    name: 'linux',
    address: sshd.address,
    port: sshd.port,
    adapter: 'ssh',
    connectorId: connector.id,
    adminIdentityId: await addIdentity(accounts.create({ sudo: true })),
    parameters: { hostKey: sshd.hostKeys[0]?.publicKey },
  })
}, 60_000)
afterAll(async () => {
  await running?.stop()
  await sshd?.end()
  await world?.end()
  accounts?.end()
})
beforeEach((context) => context.skip(missing !== undefined, missing))

async function make(route: string, body: object): Promise<string> {
  const answer = await world.call('POST', route, body)
  if (answer.status !== 201) throw new Error(`POST ${route}: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body.id
}

const addIdentity = ({ username, password }: LinuxAccount, hostIds: readonly string[] = []): Promise<string> =>
  make('/v1/identities', { identityGroupId: world.vaultId, name: username, username, credentialType: 'password', credential: password, hostIds })

test('a Linux account is rotated over SSH: the vaulted value logs in and the old one is refused', async () => {
  const account = accounts.create()
  const identityId = IdentityId.parse(await addIdentity(account, [hostId]))
  const rotation = await world.untilRotation(await world.rotate(identityId), 'confirmed')
  expect(rotation.jobs.map(({ state, epoch, attempts }) => ({ state, epoch, attempts }))).toEqual([{ state: 'confirmed', epoch: 1, attempts: 1 }])
  const value = await world.vaulted(identityId)
  expect(value).not.toBe(account.password)
  expect(await sshd.logsIn(account.username, value)).toBe(true)
  expect(await sshd.logsIn(account.username, account.password)).toBe(false)
})

test('a host that shows another key than the pinned one is told nothing, and the job says so', async () => {
  const account = accounts.create()
  const identityId = IdentityId.parse(await addIdentity(account, [hostId]))
  const { status } = await world.call('PATCH', `/v1/hosts/${hostId}`, { parameters: { hostKey: `SHA256:${'A'.repeat(43)}` } })
  expect(status).toBe(200)
  const before = sshd.log().length
  await world.rotate(identityId)
  await expect
    .poll(async () => (await world.call('GET', `/v1/jobs?identityId=${identityId}`)).body.items[0], { timeout: 10_000 })
    .toMatchObject({ state: 'waiting', attempts: 1, reason: 'host-key-mismatch' })
  expect(sshd.log().slice(before)).not.toContain('userauth-request')
  expect(await sshd.logsIn(account.username, account.password)).toBe(true)
})
