import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createAccount, createOperator } from '@nats-io/nkeys'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mintOperator, mintSystemAccount } from '#connector-bridge/identity/claims.ts'
import type { NatsKey } from '#connector-bridge/identity/nats-key.ts'
import { provision } from '#secrets/provision.ts'
import { createTrust } from '#server/trust.ts'
import { writeDockerFiles } from '#stack/docker-files.ts'
import { openHome } from '#stack/home.ts'
import { resolvePostgres } from '#stack/postgres-programs.ts'
import { service, root } from '../repository/compose.ts'
import { freePort } from '../support/free-port.ts'
import { startProgram, type RunningProgram } from '../support/program.ts'
import { startTemporal } from '../support/temporal.ts'
import { startTlsProxy } from '../support/tls-proxy.ts'

/** There is no container engine here: the same commands, files and scripts are tried on the same programs without one. */

const setup = path.join(root, 'deploy/docker')
let folder: string
let made: string
const file = (...parts: string[]): string => path.join(folder, ...parts)
const run = (command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  spawnSync(command, args, { encoding: 'utf8', timeout: 20_000, env: { PATH: process.env['PATH'], HOME: folder, ...env } })
const program = (name: 'NATS' | 'OPENBAO' | 'TEMPORAL'): string => process.env[`LEASEHOLD_TEST_${name}`] as string
const wordsAfter = (name: 'nats' | 'openbao' | 'postgres'): readonly string[] => service(name).command ?? []

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'leasehold-docker-'))
  made = file('made')
  await writeDockerFiles(made)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each(readdirSync(setup).filter((name) => name.endsWith('.sh')))('%s is a script that a shell can read', (name) => {
  expect(run('sh', ['-n', path.join(setup, name)]).status).toBe(0)
})

test('what is made for the servers stays the same when it is made again, except what is meant to change', async () => {
  const read = (name: string) => readFileSync(path.join(made, name), 'utf8')
  const before = Object.fromEntries(readdirSync(made).map((name) => [name, read(name)]))
  await writeDockerFiles(made)
  const changed = Object.keys(before).filter((name) => read(name) !== before[name])
  expect(changed.filter((name) => !/\.(pem|key)$/.test(name))).toEqual(['boot-secret-id', 'install-secrets.json'])
  expect(changed).not.toContain('ca.pem')
  for (const name of readdirSync(made)) expect([name, statSync(path.join(made, name)).mode & 0o077]).toEqual([name, 0])
})

describe('PostgreSQL', () => {
  test('knows every setting that it is started with', () => {
    const [name, ...words] = wordsAfter('postgres')
    expect(name).toBe('postgres')
    const known = run(path.join(resolvePostgres(openHome(file('home'))), 'postgres'), ['--describe-config'])
    const settings = known.stdout.split('\n').map((line) => line.split('\t')[0])
    expect(settings.length).toBeGreaterThan(300)
    const given = words.filter((word) => word !== '-c').map((word) => word.split('=')[0])
    expect(words.filter((word) => word === '-c')).toHaveLength(given.length)
    expect(settings).toEqual(expect.arrayContaining(given))
  })
})

const hasPsql = spawnSync('psql', ['--version']).status === 0

describe.skipIf(!hasPsql)('the databases of the other servers (needs psql)', () => {
  const superuser = new URL(process.env['LEASEHOLD_TEST_POSTGRES_URL'] ?? 'postgres://postgres@127.0.0.1')
  const login = { PGHOST: superuser.hostname, PGPORT: superuser.port, PGPASSWORD: decodeURIComponent(superuser.password) }
  const ask = (statement: string, env = login, user = 'postgres', database = 'postgres') =>
    run('psql', ['--no-psqlrc', '--tuples-only', '--no-align', '--username', user, '--dbname', database, '--command', statement], env)
  const databases = ['temporal', 'temporal_visibility', 'keycloak']
  afterAll(() => {
    for (const database of databases) ask(`drop database if exists ${database}`)
    for (const role of ['temporal', 'keycloak']) ask(`drop role if exists ${role}`)
  })

  test('belong to a role each, which logs in with the password of its file and sees no database of another', () => {
    expect(run('sh', [path.join(setup, 'databases.sh')], { ...login, FILES: made })).toMatchObject({ status: 0, stderr: '' })
    const password = (role: string) => ({ ...login, PGPASSWORD: readFileSync(path.join(made, `${role}-password`), 'utf8') })
    for (const [role, database, status] of [
      ['temporal', 'temporal', 0],
      ['temporal', 'temporal_visibility', 0],
      ['keycloak', 'keycloak', 0],
      ['keycloak', 'temporal', 2],
    ] as const)
      expect([role, database, ask('create table mine (id int)', password(role), role, database).status]).toEqual([role, database, status])
    expect(ask("select count(*) from pg_authid where rolname in ('temporal', 'keycloak') and not rolsuper and rolpassword like 'SCRAM%'").stdout.trim()).toBe(
      '2',
    )
  })
})

describe('NATS', () => {
  test('accepts its command and its configuration', async () => {
    const [flag, config] = wordsAfter('nats')
    expect(run(program('NATS'), ['--help']).stdout + run(program('NATS'), ['--help']).stderr).toContain(`${flag} <file>`)
    expect(config).toBe('/setup/nats.conf')
    const key = createOperator()
    const operator: NatsKey = { publicKey: key.getPublicKey(), sign: async (bytes) => key.sign(bytes) }
    const system = createAccount().getPublicKey()
    const trust = [
      `operator: ${await mintOperator(operator, system)}`,
      `system_account: ${system}`,
      `resolver_preload: { ${system}: ${await mintSystemAccount(operator, system)} }`,
    ]
    mkdirSync(file('nats/files'), { recursive: true })
    mkdirSync(file('nats/setup'))
    for (const [name, from] of [
      ['server.pem', 'nats.pem'],
      ['server.key', 'nats.key'],
    ] as const)
      cpSync(path.join(made, from), file('nats/files', name))
    writeFileSync(file('nats/files/operator.conf'), trust.join('\n'))
    const placed = readFileSync(path.join(setup, 'nats.conf'), 'utf8').replaceAll(/"\/(files|data)\//g, `"${file('nats')}/$1/`)
    writeFileSync(file('nats/setup/nats.conf'), placed)
    const { status, stderr } = run(program('NATS'), ['-t', '--config', file('nats/setup/nats.conf')])
    expect([status, stderr]).toEqual([0, expect.stringContaining('configuration file')])
  })
})

describe('OpenBao', () => {
  let server: RunningProgram | undefined
  afterAll(() => server?.stop())

  test('starts with its command, is healthy when it is unsealed, and is administered with what the scripts make', async () => {
    const [port, clusterPort] = [await freePort(), await freePort()]
    const [subcommand, config] = wordsAfter('openbao')
    expect(config).toBe('-config=/setup/openbao.json')
    mkdirSync(file('bao/data'), { recursive: true })
    for (const [name, from] of [
      ['server.pem', 'openbao.pem'],
      ['server.key', 'openbao.key'],
      ['boot-secret-id', 'boot-secret-id'],
    ] as const)
      cpSync(path.join(made, from), file('bao', name))
    const placed = readFileSync(path.join(setup, 'openbao.json'), 'utf8')
      .replaceAll('"/files/', `"${file('bao')}/`)
      .replace('"/data"', JSON.stringify(file('bao/data')))
      .replace('0.0.0.0:8200', `127.0.0.1:${port}`)
      .replaceAll(':8201', `:${clusterPort}`)
      .replace('openbao:8200', `127.0.0.1:${port}`)
    writeFileSync(file('bao/openbao.json'), placed)
    server = startProgram(program('OPENBAO'), [subcommand as string, `-config=${file('bao/openbao.json')}`], { HOME: folder })
    const env = { BAO_ADDR: `https://127.0.0.1:${port}`, BAO_CACERT: path.join(made, 'ca.pem') }
    const bao = (...args: string[]) => run(program('OPENBAO'), args, env)
    const healthy = service('openbao').healthcheck?.test?.slice(2) ?? []
    // 2: sealed; 1: does not answer.
    await expect.poll(() => bao(...healthy).status, { timeout: 15_000 }).toBe(2)
    const manual = readFileSync(path.join(root, 'docs/docker.md'), 'utf8')
    const init = ['operator', 'init', '-key-shares=5', '-key-threshold=3']
    expect(manual).toContain(`bao ${init.join(' ')}`)
    const { unseal_keys_b64: keys, root_token: token } = JSON.parse(bao(...init, '-format=json').stdout) as { unseal_keys_b64: string[]; root_token: string }
    for (const key of keys.slice(0, 3)) expect(bao('operator', 'unseal', key).status).toBe(0)
    await expect.poll(() => bao(...healthy).status, { timeout: 15_000 }).toBe(0)

    const boot = () => run('sh', [path.join(setup, 'openbao-boot.sh')], { ...env, BAO_TOKEN: token, BAO: program('OPENBAO'), FILES: file('bao') })
    await expect.poll(() => boot().status, { timeout: 15_000, interval: 500 }).toBe(0)
    const { openbao } = JSON.parse(readFileSync(path.join(made, 'install-secrets.json'), 'utf8')) as { openbao: { roleId: string; secretId: string } }
    const { fetch: reach } = createTrust(readFileSync(path.join(made, 'ca.pem'), 'utf8'))
    const provisioned = provision({ url: env.BAO_ADDR, bootRoleId: openbao.roleId, bootSecretId: openbao.secretId, fetch: reach })
    await expect(provisioned).resolves.toHaveProperty('leasehold-bridge')
    const end = ['delete', 'auth/approle/role/boot']
    expect(manual).toContain(`bao ${end.join(' ')}`)
    expect(run(program('OPENBAO'), end, { ...env, BAO_TOKEN: token }).status).toBe(0)
  }, 60_000)
})

describe('Temporal', () => {
  test('is asked for its namespace over TLS by the script, with flags that its command knows', async () => {
    const temporal = await startTemporal()
    const [cert, key] = ['temporal.pem', 'temporal.key'].map((name) => readFileSync(path.join(made, name), 'utf8')) as [string, string]
    const proxy = await startTlsProxy({ port: Number(temporal.address.split(':')[1]), cert, key, protocols: ['h2'] })
    // Beside this process, which is the proxy.
    const asked = startProgram('sh', [path.join(setup, 'temporal-namespace.sh')], {
      HOME: folder,
      TEMPORAL: program('TEMPORAL'),
      ADDRESS: `127.0.0.1:${proxy.port}`,
      FILES: made,
    })
    expect([await asked.ended, asked.output()]).toEqual([0, ''])
    await proxy.end()
    await temporal.stop()
    expect(run(program('TEMPORAL'), ['operator', 'namespace', 'create', '--help']).stdout).toContain('--retention')
  }, 60_000)
})

describe.skipIf(process.getuid?.() !== 0)('the files of the services (needs root, to give them away)', () => {
  const place = () => run('sh', [path.join(setup, 'place-files.sh')], { FROM: made, TO: file('to'), DATA: file('data') })
  const listed = (service: string) => readdirSync(file('to', service)).sort()

  test('go to the one service that needs them, which alone can read them; credentials follow the installation', () => {
    expect(place()).toMatchObject({ status: 0, stderr: '' })
    expect(listed('postgres')).toEqual(['keycloak-password', 'server.key', 'server.pem', 'superuser-password', 'temporal-password'])
    expect(listed('api')).toEqual(['ca.pem', 'server.key', 'server.pem'])
    expect(listed('connector')).toEqual(['ca.pem'])
    for (const name of ['install.json', 'api.json', 'worker.json', 'bridge.json', 'operator.conf']) writeFileSync(file('data/install', name), name)
    expect(place()).toMatchObject({ status: 0, stderr: '', stdout: '' })
    for (const role of ['api', 'worker', 'bridge']) expect(readFileSync(file('to', role, 'credentials.json'), 'utf8')).toBe(`${role}.json`)
    expect(listed('nats')).toEqual(['ca.pem', 'operator.conf', 'server.key', 'server.pem'])
    for (const name of readdirSync(file('to'))) {
      for (const placed of readdirSync(file('to', name))) {
        const { mode, uid } = statSync(file('to', name, placed))
        expect([name, placed, mode & 0o777, uid]).toEqual([name, placed, 0o600, name === 'postgres' ? 999 : 1000])
      }
    }
  })
})
