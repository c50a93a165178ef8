import { generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ChangeOutcome, Target } from '#connector/adapters/adapter.ts'
import { sshKeyAdapter } from '#connector/adapters/ssh-key.ts'
import type { RunningConnector } from '#connector/connector.ts'
import { IdentityId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import { readSshKey } from '#secrets/ssh-key.ts'
import { targetOf } from '../connector/ssh-world.ts'
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
let home: string

beforeAll(async () => {
  if (missing !== undefined) return
  accounts = openLinuxAccounts()
  ;[world, sshd] = await Promise.all([createBridgeWorld(), startSshd()])
  const connector = await world.joinConnector([`${sshd.address}:${sshd.port}`])
  home = connector.home
  running = runConnector(home)
  hostId = await make('/v1/hosts', {
    organizationId: world.organizationId,
    name: 'linux',
    address: sshd.address,
    port: sshd.port,
    adapter: 'ssh',
    connectorId: connector.id,
    adminIdentityId: await addIdentity(accounts.create({ sudo: 'anything' })),
    parameters: { hostKey: sshd.hostKeys[0]?.publicKey, authorizedKeysFile: sshd.keysFile },
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

const addKey = ({ username }: LinuxAccount, credential: string): Promise<string> =>
  make('/v1/identities', { identityGroupId: world.vaultId, name: `key of ${username}`, username, credentialType: 'ssh_key', credential, hostIds: [hostId] })

function publicHalf(privateKey: string): string {
  const read = readSshKey(Secret.of(privateKey))
  return 'fault' in read ? read.fault : read.publicKey
}

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

test('the key of a Linux account is rotated: the vaulted one logs in, its public half is shown, and the old one is refused', async () => {
  const account = accounts.create()
  const old = sshd.makeKey(account.username, 'ecdsa')
  const identityId = IdentityId.parse(await addKey(account, old))
  const before = (await world.call('GET', `/v1/identities/${identityId}`)).body
  await world.untilRotation(await world.rotate(identityId), 'confirmed')
  const after = (await world.call('GET', `/v1/identities/${identityId}`)).body
  const value = await world.vaulted(identityId)
  expect([before.publicKey, after.publicKey]).toEqual([publicHalf(old), publicHalf(value)])
  expect(after).toMatchObject({ credentialVersion: 2, hosts: [{ hostId, credentialVersion: 2, sync: 'in_sync' }] })
  const logIn = (password: string) => sshKeyAdapter.logIn(targetOf(sshd), { username: account.username, password })
  expect([await logIn(value), await logIn(old)]).toEqual([{ login: 'accepted' }, { login: 'rejected' }])
  expect(value).toMatch(/^-----BEGIN OPENSSH PRIVATE KEY-----\n/)
})

describe.each(['change', 'remove'] as const)('a connector that dies in the middle of a swap of keys (%s)', (step) => {
  test.each(['before', 'after'] as const)(
    '%s it was made: the next one finds out at the next epoch and brings it to its end',
    async (when) => {
      const account = accounts.create()
      const old = sshd.makeKey(account.username, 'ecdsa')
      const identityId = IdentityId.parse(await addKey(account, old))
      const died = Promise.withResolvers<void>()
      const dies =
        <T>(act: (target: Target, asked: T) => Promise<ChangeOutcome>) =>
        async (target: Target, asked: T): Promise<ChangeOutcome> => {
          if (when === 'after') await act(target, asked)
          died.resolve()
          throw new Error('died')
        }
      const { change, remove } = sshKeyAdapter
      if (remove === undefined) throw new Error('keys are taken away')
      await running.stop()
      const dying = runConnector(home, { 'ssh-key': { ...sshKeyAdapter, ...(step === 'change' ? { change: dies(change) } : { remove: dies(remove) }) } })
      const rotationId = await world.rotate(identityId)
      await died.promise
      await dying.stop()
      running = runConnector(home)
      const { state, jobs } = await world.drive(rotationId, 60_000)
      expect([state, jobs[0]?.state, (jobs[0]?.epoch ?? 0) > 1]).toEqual(['confirmed', 'confirmed', true])
      const value = await world.vaulted(identityId)
      expect(readFileSync(sshd.keysFile.replace('%u', account.username), 'utf8')).toBe(`${publicHalf(value)} test\n`)
      const logIn = (password: string) => sshKeyAdapter.logIn(targetOf(sshd), { username: account.username, password })
      expect([await logIn(value), await logIn(old)]).toEqual([{ login: 'accepted' }, { login: 'rejected' }])
    },
    90_000,
  )
})

test('a key that was stored as PKCS #8 is known to the connector, and swapped', async () => {
  const account = accounts.create()
  const old = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const file = sshd.keysFile.replace('%u', account.username)
  writeFileSync(file, `${publicHalf(old)}\n`)
  const identityId = IdentityId.parse(await addKey(account, old))
  await world.untilRotation(await world.rotate(identityId), 'confirmed')
  expect(readFileSync(file, 'utf8')).toBe(`${publicHalf(await world.vaulted(identityId))}\n`)
})

test('the longest value that may be stored as a key reaches the connector and is swapped for a new one', async () => {
  const account = accounts.create()
  // Blank lines around a key belong to what a person stored.
  const long = `\n${sshd.makeKey(account.username, 'ed25519')}`.padEnd(32_768, '\n')
  const identityId = IdentityId.parse(await addKey(account, long))
  await world.untilRotation(await world.rotate(identityId), 'confirmed')
  expect(readFileSync(sshd.keysFile.replace('%u', account.username), 'utf8')).toBe(`${publicHalf(await world.vaulted(identityId))} test\n`)
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
