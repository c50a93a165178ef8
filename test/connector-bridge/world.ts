import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import { pino } from 'pino'
import { createRotationActivities } from '#activities/rotation.ts'
import { join } from '#connector/join.ts'
import { operatorConfiguration } from '#connector-bridge/identity/operator.ts'
import { ConnectorId, IdentityId, VaultId, type AccountId, type RotationId } from '#schemas/ids.ts'
import type { RotationFacts } from '#schemas/rotation-facts.ts'
import { Secret } from '#schemas/secret.ts'
import { open, passwordHash, seal } from '#secrets/envelope.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createTransit, type Transit } from '#secrets/transit.ts'
import { createVaultKeys, keyVersionOf } from '#secrets/vault-keys.ts'
import { startBridgeRole } from '#server/bridge-role.ts'
import { createMetrics, type Metrics } from '#server/metrics/metrics.ts'
import type { Config } from '#server/config.ts'
import type { RunningRole } from '#server/role.ts'
import { createTrust } from '#server/trust.ts'
import { acme } from '#stack/people.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { inAccount, type Transaction } from '#store/connection.ts'
import { readCredential } from '#store/credential.ts'
import { readRotationFacts, rotationMaterial } from '#store/rotation.ts'
import { stageVersion } from '#store/stage-version.ts'
import { readVaultKeyRef } from '#store/vault.ts'
import { nextRotationStep } from '#workflows/rotation-step.ts'
import { startApi } from '../api/support.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startNats, type TestNats } from '../support/nats.ts'
import { startOpenBao } from '../support/openbao.ts'
import { testTarget, type TargetRole, type TestTarget } from '../support/target.ts'

/** The whole way of a job on real servers: API, PostgreSQL, OpenBao, NATS, a bridge, and a target; connectors as a test wants them. */
export interface BridgeWorld {
  readonly metrics: Metrics
  readonly database: TestDatabase
  readonly nats: TestNats
  readonly transit: Transit
  readonly target: TestTarget
  readonly accountId: AccountId
  readonly organizationId: string
  readonly vaultId: VaultId
  readonly bridge: RunningRole
  readonly run: <T>(decide: (trx: Transaction) => Promise<T>) => Promise<T>
  readonly call: (method: string, path: string, body?: unknown) => Promise<{ readonly status: number; readonly body: any }>
  readonly createConnector: () => Promise<{ readonly id: ConnectorId; readonly joinToken: string }>
  /** Makes a connector and joins it. @param allow what it may dial, besides the target. @returns its home */
  readonly joinConnector: (allow?: readonly string[]) => Promise<{ readonly id: ConnectorId; readonly home: string }>
  readonly joinHome: (joinToken: string, home?: string, allow?: readonly string[]) => Promise<string>
  /** A role on the target and its identity in the vault, changed through this connector. */
  readonly addAccount: (connectorId: ConnectorId) => Promise<{ readonly role: TargetRole; readonly identityId: IdentityId }>
  /** @param value the first candidate; absent: as the worker makes it */
  readonly rotate: (identityId: IdentityId, value?: string) => Promise<RotationId>
  /** Does what the workflow of the rotation would do, until it is final. */
  readonly drive: (id: RotationId, limitMs?: number) => Promise<RotationFacts>
  readonly rotation: (id: RotationId) => Promise<RotationFacts>
  readonly untilRotation: (id: RotationId, state: RotationFacts['state'], limitMs?: number) => Promise<RotationFacts>
  /** The value that the vault gives for this identity now. */
  readonly vaulted: (identityId: IdentityId) => Promise<string>
  readonly end: () => Promise<void>
}

export async function createBridgeWorld(): Promise<BridgeWorld> {
  const target = testTarget()
  const [database, openBao] = await Promise.all([createTestDatabase(), startOpenBao()])
  const transit = createTransit(openBao.as('leasehold-bridge'))
  const nats = await startNats(await operatorConfiguration(transit))
  const secrets = createOrganizationSecrets(openBao.as('leasehold-api'))
  const vaultKeys = createVaultKeys(secrets)
  const api = await startApi(database, {
    organizationSecrets: secrets,
    vaultKeys,
    signingKeys: () => createTransit(openBao.as('leasehold-api')).jwks('connector-signing'),
  })
  Object.assign(api.parts.config, { natsUrl: nats.url })
  const http = createServer(getRequestListener(api.app.fetch)).listen(0, '127.0.0.1')
  await new Promise((resolve) => http.once('listening', resolve))
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  const metrics = createMetrics()
  const bridge = await startBridgeRole({
    config: { postgresUrl: database.url, openbaoUrl: openBao.url, natsUrl: nats.url } as Config,
    credentials: { postgres: { leasehold_bridge: database.password }, openbao: openBao.login('leasehold-bridge'), tenantSalt: 'AA' },
    trust: createTrust(),
    certificate: undefined,
    temporalTls: undefined,
    metrics,
    log: pino({ level: process.env['LEASEHOLD_TEST_DEBUG'] ? 'debug' : 'silent' }),
  })
  const worker = database.as('leasehold_worker')
  const accountId = acme.id as AccountId
  const run = <T>(decide: (trx: Transaction) => Promise<T>): Promise<T> => inAccount(worker, accountId, decide)
  const call: BridgeWorld['call'] = (method, route, body) => api.call('mia', method, route, body === undefined ? {} : { body })
  const make = async (route: string, body: unknown): Promise<any> => {
    const answer = await call('POST', route, body)
    if (answer.status !== 201) throw new Error(`POST ${route}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const organizationId: string = (await make('/v1/organizations', { name: 'main' })).id
  await call('PUT', `/v1/organizations/${organizationId}/secret`, {})
  const vaultId = VaultId.parse((await make('/v1/identity-groups', { organizationId, name: 'demo' })).id)
  const adminId: string = (
    await make('/v1/identities', {
      identityGroupId: vaultId,
      name: 'admin',
      username: target.admin.username,
      credentialType: 'password',
      credential: target.admin.password,
    })
  ).id
  const homes: string[] = []
  const hosts = new Map<string, Promise<string>>()
  const actor = { kind: 'system', id: 'test' } as const
  const activities = createRotationActivities({ db: worker, vaultKeys })
  const subjectOf = (subjectId: RotationId) => ({ accountId, subjectId })
  const stage = async (identityId: IdentityId, rotationId: RotationId, value: Secret<string>): Promise<void> => {
    const { nextVersion: version } = await run((trx) => rotationMaterial(trx, rotationId))
    const key = await vaultKeys.get(await run((trx) => readVaultKeyRef(trx, vaultId)))
    const sealed = seal(key, { identityId, version, purpose: 'credential' }, value)
    await run((trx) => stageVersion(trx, rotationId, { version, sealed, hash: passwordHash(key, value) }, actor))
  }

  const world: BridgeWorld = {
    database,
    nats,
    transit,
    target,
    accountId,
    organizationId,
    vaultId,
    bridge,
    metrics,
    run,
    call,
    createConnector: async () => {
      const { id, joinToken } = await make('/v1/connectors', { organizationId, name: `connector ${randomUUID()}` })
      return { id: ConnectorId.parse(id), joinToken }
    },
    joinHome: async (token, home = mkdtempSync(path.join(tmpdir(), 'leasehold-connector-')), allow = []) => {
      homes.push(home)
      await join({ home, url, token, allow: [`${target.address}:${target.port}`, ...allow], patienceMs: 10_000 })
      return home
    },
    joinConnector: async (allow) => {
      const { id, joinToken } = await world.createConnector()
      return { id, home: await world.joinHome(joinToken, undefined, allow) }
    },
    addAccount: async (connectorId) => {
      const role = await target.createRole()
      const hostId =
        hosts.get(connectorId) ??
        make('/v1/hosts', {
          organizationId,
          name: `host ${randomUUID()}`,
          address: target.address,
          port: target.port,
          adapter: 'postgres',
          connectorId,
          adminIdentityId: adminId,
        }).then(({ id }) => id)
      hosts.set(connectorId, hostId)
      const { id } = await make('/v1/identities', {
        identityGroupId: vaultId,
        name: role.username,
        username: role.username,
        credentialType: 'password',
        credential: role.password,
        hostIds: [await hostId],
      })
      return { role, identityId: IdentityId.parse(id) }
    },
    rotate: async (identityId, value) => {
      const { rotationId } = await run((trx) => beginRotation(trx, { identityId, trigger: 'manual', actor }))
      await (value === undefined ? activities.stageRotation(subjectOf(rotationId)) : stage(identityId, rotationId, Secret.of(value)))
      await activities.openRotationJobs(subjectOf(rotationId))
      return rotationId
    },
    drive: async (id, limitMs = 20_000) => {
      for (const limit = Date.now() + limitMs; ; await sleep(30)) {
        const facts = await world.rotation(id)
        const step = nextRotationStep(facts)
        if (step.do === 'finish') return facts
        if (Date.now() > limit) throw new Error(`the rotation is still ${JSON.stringify(facts)}`)
        if (step.do === 'stage') await activities.stageRotation(subjectOf(id))
        if (step.do === 'open-jobs') await activities.openRotationJobs(subjectOf(id))
        if (step.do === 'settle') await activities.settleRotation(subjectOf(id))
        if (step.do === 'lapse') await activities.lapseClaim(subjectOf(id), step.jobId, step.epoch)
      }
    },
    rotation: (id) => run((trx) => readRotationFacts(trx, id)) as Promise<RotationFacts>,
    untilRotation: async (id, state, limitMs = 15_000) => {
      const limit = Date.now() + limitMs
      for (;;) {
        const facts = await world.rotation(id)
        if (facts.state === state) return facts
        if (Date.now() > limit) throw new Error(`the rotation is still ${JSON.stringify(facts)}`)
        await sleep(30)
      }
    },
    vaulted: (identityId) =>
      run(async (trx) => {
        const { current_version: version } = await trx.selectFrom('identity').select('current_version').where('id', '=', identityId).executeTakeFirstOrThrow()
        const sealed = await readCredential(trx, identityId, version)
        if (sealed === undefined) throw new Error('no ciphertext')
        const key = await vaultKeys.get(await readVaultKeyRef(trx, vaultId, keyVersionOf(sealed.keyId)))
        return open(key, { identityId, version, purpose: 'credential' }, sealed).expose()
      }),
    end: async () => {
      await bridge.drain()
      await api.stop()
      await new Promise((resolve) => http.close(resolve).closeAllConnections())
      await nats.stop()
      await openBao.stop()
      await database.end()
      for (const home of homes) rmSync(home, { recursive: true, force: true })
    },
  }
  return world
}
