import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigurationError, readConfig, roleNames, type RoleName } from '#server/config.ts'
import { InstallEnvironment } from '#server/install-environment.ts'
import { readStartUp } from '#server/start-up.ts'
import { createAuthority, issue } from '#stack/certificates.ts'

type Variables = Readonly<Record<string, string | undefined>>

const production: Variables = {
  LEASEHOLD_MODE: 'production',
  LEASEHOLD_CREDENTIALS_FILE: '/etc/leasehold/credentials.json',
  LEASEHOLD_POSTGRES_URL: 'postgres://db.example/leasehold?sslmode=verify-full',
  LEASEHOLD_TEMPORAL_ADDRESS: 'temporal.example:7233',
  LEASEHOLD_TEMPORAL_TLS: 'true',
  LEASEHOLD_NATS_URL: 'tls://nats.example:4222',
  LEASEHOLD_OPENBAO_URL: 'https://openbao.example:8200',
  LEASEHOLD_OIDC_ISSUER: 'https://login.example/realms/main',
  LEASEHOLD_API_URL: 'https://leasehold.example',
  LEASEHOLD_API_HOST: '0.0.0.0',
  LEASEHOLD_TLS_CERT_FILE: '/etc/leasehold/api.pem',
  LEASEHOLD_TLS_KEY_FILE: '/etc/leasehold/api.key',
}
const dev: Variables = {
  LEASEHOLD_MODE: 'dev',
  LEASEHOLD_CREDENTIALS_FILE: '/home/dev/credentials.json',
  LEASEHOLD_POSTGRES_URL: 'postgres://127.0.0.1:5432/leasehold',
  LEASEHOLD_TEMPORAL_ADDRESS: 'localhost:7233',
  LEASEHOLD_NATS_URL: 'nats://127.0.0.1:4222',
  LEASEHOLD_OPENBAO_URL: 'http://127.0.0.1:8200',
  LEASEHOLD_OIDC_ISSUER: 'http://127.0.0.1:7401',
  LEASEHOLD_API_URL: 'http://127.0.0.1:7400',
}

function faultsOf(env: Variables, roles: readonly RoleName[] = roleNames): string[] {
  try {
    readConfig(env, roles)
    return []
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return [...error.faults]
  }
}
const named = (faults: readonly string[]): string[] => faults.map((fault) => fault.split(':')[0] as string)

test('a complete production environment and a complete dev environment have no fault', () => {
  expect(faultsOf(production)).toEqual([])
  expect(faultsOf(dev)).toEqual([])
})

test('the mode has no default: without it nothing starts', () => {
  expect(named(faultsOf({ ...production, LEASEHOLD_MODE: undefined }))).toEqual(['LEASEHOLD_MODE'])
  expect(named(faultsOf({ ...dev, LEASEHOLD_MODE: 'prod' }))).toEqual(['LEASEHOLD_MODE'])
})

describe('production refuses to start with', () => {
  test.each<[what: string, variable: string, value: string | undefined]>([
    ['a plain connection to PostgreSQL', 'LEASEHOLD_POSTGRES_URL', 'postgres://db.example/leasehold'],
    ['a plain connection to PostgreSQL on this machine', 'LEASEHOLD_POSTGRES_URL', 'postgres://127.0.0.1/leasehold'],
    ['TLS to PostgreSQL that may be switched off', 'LEASEHOLD_POSTGRES_URL', 'postgres://db.example/leasehold?sslmode=disable'],
    ['an unchecked certificate of PostgreSQL', 'LEASEHOLD_POSTGRES_URL', 'postgres://db.example/leasehold?sslmode=require'],
    ['an unchecked host name of PostgreSQL', 'LEASEHOLD_POSTGRES_URL', 'postgres://db.example/leasehold?sslmode=verify-ca'],
    ['another host in the parameters of PostgreSQL', 'LEASEHOLD_POSTGRES_URL', 'postgres://db.example/leasehold?sslmode=verify-full&host=elsewhere'],
    ['a password in the URL of PostgreSQL', 'LEASEHOLD_POSTGRES_URL', 'postgres://me:pw@db.example/leasehold?sslmode=verify-full'],
    ['a plain connection to OpenBao', 'LEASEHOLD_OPENBAO_URL', 'http://openbao.example:8200'],
    ['a plain connection to OpenBao on this machine', 'LEASEHOLD_OPENBAO_URL', 'http://127.0.0.1:8200'],
    ['an origin without TLS whose scripts may read', 'LEASEHOLD_CORS_ORIGINS', 'https://console.example,http://console.example'],
    ['a plain connection to NATS', 'LEASEHOLD_NATS_URL', 'nats://nats.example:4222'],
    ['a connection to Temporal that nobody asked to encrypt', 'LEASEHOLD_TEMPORAL_TLS', undefined],
    ['a plain connection to Temporal', 'LEASEHOLD_TEMPORAL_TLS', 'false'],
    ['an OIDC issuer without TLS', 'LEASEHOLD_OIDC_ISSUER', 'http://login.example/realms/main'],
    ['an OIDC issuer that is reached without TLS', 'LEASEHOLD_OIDC_URL', 'http://keycloak:8080/realms/main'],
    ['an API that is told to people without TLS', 'LEASEHOLD_API_URL', 'http://leasehold.example'],
    ['an API without a certificate', 'LEASEHOLD_TLS_CERT_FILE', undefined],
    ['an API without a key', 'LEASEHOLD_TLS_KEY_FILE', undefined],
    ['the second listener of dev mode', 'LEASEHOLD_API_TLS_PORT', '9443'],
    ['authorization switched off', 'ENABLE_AUTHORIZATION', 'false'],
    ['the login of the secrets API switched off', 'SECRETS_API_REQUIRE_AUTH', 'false'],
    ['writes to YAML files', 'SECRETS_YAML_WRITES', 'true'],
    ['a short tenant salt', 'TENANT_SALT', 'c2hvcnQ'],
    ['certificate checks of Node switched off', 'NODE_TLS_REJECT_UNAUTHORIZED', '0'],
  ])('%s', (_what, variable, value) => {
    const faults = faultsOf({ ...production, [variable]: value })
    expect(named(faults)).toContain(variable)
    expect(new Set(named(faults)).size).toBeLessThanOrEqual(variable.startsWith('LEASEHOLD_TLS') ? 2 : 1)
  })

  test('all of it at once: every fault is named together with those of form, and no value is repeated', () => {
    const canary = 'canary-value'
    const faults = faultsOf({
      LEASEHOLD_MODE: 'production',
      LEASEHOLD_POSTGRES_URL: `postgres://me:${canary}@db.example/leasehold`,
      LEASEHOLD_TEMPORAL_ADDRESS: canary,
      LEASEHOLD_NATS_URL: `nats://${canary}`,
      LEASEHOLD_OPENBAO_URL: `http://${canary}`,
      LEASEHOLD_API_URL: `http://${canary}`,
      LEASEHOLD_API_PORT: canary,
      ENABLE_AUTHORIZATION: 'false',
      SECRETS_YAML_WRITES: canary,
      TENANT_SALT: canary,
    })
    expect([...new Set(named(faults))].sort()).toEqual(
      [
        'ENABLE_AUTHORIZATION',
        'LEASEHOLD_API_PORT',
        'LEASEHOLD_API_URL',
        'LEASEHOLD_CREDENTIALS_FILE',
        'LEASEHOLD_NATS_URL',
        'LEASEHOLD_OIDC_ISSUER',
        'LEASEHOLD_OPENBAO_URL',
        'LEASEHOLD_POSTGRES_URL',
        'LEASEHOLD_TEMPORAL_ADDRESS',
        'LEASEHOLD_TLS_CERT_FILE',
        'LEASEHOLD_TLS_KEY_FILE',
        'SECRETS_YAML_WRITES',
        'TENANT_SALT',
      ].sort(),
    )
    expect(faults.join()).not.toContain(canary)
  })
})

test('tokens that are bound to no key are let in by dev mode, and by production only when it is told to', () => {
  const bearer = (env: Variables) => readConfig(env).audienceFallback
  expect([bearer(dev), bearer(production)]).toEqual([true, false])
  expect([bearer({ ...dev, LEASEHOLD_AUDIENCE_FALLBACK: 'false' }), bearer({ ...production, LEASEHOLD_AUDIENCE_FALLBACK: 'true' })]).toEqual([false, true])
})

test('only the API needs a certificate of its own', () => {
  const { LEASEHOLD_TLS_CERT_FILE: _cert, LEASEHOLD_TLS_KEY_FILE: _key, ...without } = production
  expect(faultsOf(without, ['worker', 'bridge'])).toEqual([])
  expect(named(faultsOf(without, ['worker', 'api']))).toEqual(['LEASEHOLD_TLS_CERT_FILE', 'LEASEHOLD_TLS_KEY_FILE'])
})

describe('dev mode refuses to start with', () => {
  test.each<[what: string, variable: string, value: string]>([
    ['a plain PostgreSQL elsewhere', 'LEASEHOLD_POSTGRES_URL', 'postgres://db.example/leasehold'],
    ['a plain Temporal elsewhere', 'LEASEHOLD_TEMPORAL_ADDRESS', 'temporal.example:7233'],
    ['a plain NATS elsewhere', 'LEASEHOLD_NATS_URL', 'nats://nats.example:4222'],
    ['a plain OpenBao elsewhere', 'LEASEHOLD_OPENBAO_URL', 'http://openbao.example:8200'],
    ['a plain issuer elsewhere', 'LEASEHOLD_OIDC_ISSUER', 'http://login.example'],
    ['a listener that others can reach', 'LEASEHOLD_API_HOST', '0.0.0.0'],
    ['a TLS listener without a certificate', 'LEASEHOLD_API_TLS_PORT', '9443'],
    ['a key without a certificate', 'LEASEHOLD_TLS_KEY_FILE', '/somewhere'],
    ['a server name for a connection without TLS', 'LEASEHOLD_TEMPORAL_SERVER_NAME', 'temporal'],
  ])('%s', (_what, variable, value) => {
    expect(faultsOf({ ...dev, [variable]: value })).toHaveLength(1)
  })
})

describe('the installation refuses', () => {
  const complete = {
    LEASEHOLD_POSTGRES_URL: 'postgres://db.example/leasehold?sslmode=verify-full',
    LEASEHOLD_OPENBAO_URL: 'https://openbao.example:8200',
    LEASEHOLD_OIDC_ISSUER: 'https://login.example/realms/main',
    LEASEHOLD_CA_FILE: '/ca.pem',
    LEASEHOLD_INSTALL_SECRETS_FILE: '/secrets.json',
    LEASEHOLD_INSTALL_FOLDER: '/install',
    LEASEHOLD_ACCOUNT_NAME: 'main',
    LEASEHOLD_OWNER_SUB: 'mia',
    LEASEHOLD_OWNER_EMAIL: 'mia@example.com',
    LEASEHOLD_OWNER_NAME: 'Mia',
  }
  test.each<[what: string, changes: Variables]>([
    ['an unchecked PostgreSQL', { LEASEHOLD_POSTGRES_URL: 'postgres://db.example/leasehold' }],
    ['a plain OpenBao', { LEASEHOLD_OPENBAO_URL: 'http://openbao.example:8200' }],
    ['an issuer without TLS', { LEASEHOLD_OIDC_ISSUER: 'http://login.example' }],
    ['nobody as the owner', { LEASEHOLD_OWNER_SUB: '' }],
  ])('%s', (_what, changes) => {
    expect(InstallEnvironment.safeParse(complete).success).toBe(true)
    const parsed = InstallEnvironment.safeParse({ ...complete, ...changes })
    expect(parsed.error?.issues.map((issue) => issue.path.join())).toEqual(Object.keys(changes))
  })
})

describe('the files that the environment names', () => {
  let folder: string
  let env: Record<string, string | undefined>
  const salt = Buffer.alloc(32, 7).toString('base64url')
  const write = (name: string, content: string, mode = 0o600): string => {
    const file = path.join(folder, name)
    writeFileSync(file, content)
    chmodSync(file, mode)
    return file
  }
  const credentials = (tenantSalt?: string): string =>
    JSON.stringify({ postgres: { leasehold_api: 'pw' }, openbao: { roleId: 'r', secretId: 's' }, ...(tenantSalt === undefined ? {} : { tenantSalt }) })
  const faults = (changes: Variables): Promise<string> =>
    readStartUp({ ...env, ...changes }, ['api']).then(
      () => '',
      (error: Error) => error.message,
    )

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'leasehold-config-'))
    const authority = await createAuthority('files')
    const [own, other] = [await issue(authority, ['api.example']), await issue(authority, ['other.example'])]
    write('other.key', other.key)
    write('open.key', own.key, 0o644)
    env = {
      ...production,
      LEASEHOLD_CREDENTIALS_FILE: write('credentials.json', credentials(salt)),
      LEASEHOLD_CA_FILE: write('ca.pem', authority.cert, 0o644),
      LEASEHOLD_TLS_CERT_FILE: write('api.pem', own.cert, 0o644),
      LEASEHOLD_TLS_KEY_FILE: write('api.key', own.key),
    }
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('are read: authorities, certificate, key, credentials', async () => {
    const startUp = await readStartUp(env, ['api'])
    expect(startUp.trust.ca).toContain('BEGIN CERTIFICATE')
    expect(startUp.certificate?.cert).toContain('BEGIN CERTIFICATE')
    expect(startUp.temporalTls).toEqual({ ca: startUp.trust.ca, serverName: undefined, client: undefined })
    expect(startUp.credentials.tenantSalt).toBe(salt)
  })

  test.each<[what: string, changes: () => Variables, fault: RegExp]>([
    ['are missing', () => ({ LEASEHOLD_CA_FILE: path.join(folder, 'absent') }), /LEASEHOLD_CA_FILE: cannot be read \(ENOENT\)/],
    ['hold no authority', () => ({ LEASEHOLD_CA_FILE: write('empty.pem', '') }), /LEASEHOLD_CA_FILE: has no certificate/],
    [
      'hold a key of another certificate',
      () => ({ LEASEHOLD_TLS_KEY_FILE: path.join(folder, 'other.key') }),
      /LEASEHOLD_TLS_KEY_FILE: cannot be used together/,
    ],
    ['hold a key that others can read', () => ({ LEASEHOLD_TLS_KEY_FILE: path.join(folder, 'open.key') }), /LEASEHOLD_TLS_KEY_FILE: the key must be readable/],
    [
      'hold credentials that others can read',
      () => ({ LEASEHOLD_CREDENTIALS_FILE: write('open.json', credentials(salt), 0o644) }),
      /_CREDENTIALS_FILE: .*0600/,
    ],
    ['hold no tenant salt', () => ({ LEASEHOLD_CREDENTIALS_FILE: write('unsalted.json', credentials()) }), /TENANT_SALT is missing/],
    ['hold a short tenant salt', () => ({ LEASEHOLD_CREDENTIALS_FILE: write('short.json', credentials('c2hvcnQ')) }), /TENANT_SALT is missing/],
  ])('are refused when they %s', async (_what, changes, fault) => {
    const message = await faults(changes())
    expect(message).toMatch(fault)
    expect(message).not.toContain(folder)
  })

  test('may leave the tenant salt to TENANT_SALT, which no log shows', async () => {
    const startUp = await readStartUp({ ...env, LEASEHOLD_CREDENTIALS_FILE: write('bare.json', credentials()), TENANT_SALT: salt }, ['api'])
    expect(startUp.credentials.tenantSalt).toBe(salt)
    expect(inspect(startUp.config, { depth: null })).not.toContain(salt)
  })
})

test('checkouts stop after 15 minutes of silence, or after what is configured', () => {
  expect(readConfig(dev).temporalSilenceMinutes).toBe(15)
  expect(readConfig({ ...dev, LEASEHOLD_TEMPORAL_SILENCE_MINUTES: '3' }).temporalSilenceMinutes).toBe(3)
})

test.each(['0', '1441', 'soon', '2.5'])('a silence of %s minutes is refused by name', (minutes) => {
  expect(() => readConfig({ ...dev, LEASEHOLD_TEMPORAL_SILENCE_MINUTES: minutes })).toThrow(/LEASEHOLD_TEMPORAL_SILENCE_MINUTES/)
})

describe('limits per caller', () => {
  test('are those of the mode: production has the narrow ones, dev mode those that a bench needs', () => {
    expect(readConfig(production).rates).toEqual({ perSecond: 50, burst: 100, failuresPerMinute: 20 })
    expect(readConfig(dev).rates).toEqual({ perSecond: 2_000, burst: 4_000, failuresPerMinute: 1_000 })
  })

  test('are what is configured, in both modes', () => {
    const more = { LEASEHOLD_RATE_PER_SECOND: '5', LEASEHOLD_RATE_BURST: '7', LEASEHOLD_FAILURES_PER_MINUTE: '3' }
    for (const env of [production, dev]) expect(readConfig({ ...env, ...more }).rates).toEqual({ perSecond: 5, burst: 7, failuresPerMinute: 3 })
  })

  test.each(['LEASEHOLD_RATE_PER_SECOND', 'LEASEHOLD_RATE_BURST', 'LEASEHOLD_FAILURES_PER_MINUTE'])('%s is a whole number above 0', (name) => {
    for (const value of ['0', '-1', '1.5', 'many', '1e9']) expect([value, named(faultsOf({ ...production, [name]: value }))]).toEqual([value, [name]])
  })
})

describe('origins whose scripts may read', () => {
  test('are none by default, else exactly those of the list', () => {
    expect(readConfig(production).corsOrigins).toEqual([])
    const env = { ...production, LEASEHOLD_CORS_ORIGINS: 'https://console.example,https://ops.example:8443' }
    expect(readConfig(env).corsOrigins).toEqual(['https://console.example', 'https://ops.example:8443'])
    expect(readConfig({ ...dev, LEASEHOLD_CORS_ORIGINS: 'http://localhost:5173' }).corsOrigins).toEqual(['http://localhost:5173'])
  })

  test.each([
    '*',
    'console.example',
    'https://console.example/',
    'https://console.example/app',
    'https://*.example',
    'null',
    'https://a.example https://b.example',
  ])('are written as browsers write them: %j is refused', (value) =>
    expect(named(faultsOf({ ...production, LEASEHOLD_CORS_ORIGINS: value }))).toEqual(['LEASEHOLD_CORS_ORIGINS']),
  )
})

describe('the domain of security keys', () => {
  test('is one that pages of the installation lie under', () => {
    const env = { ...production, LEASEHOLD_API_URL: 'https://api.corp.example', LEASEHOLD_CORS_ORIGINS: 'https://console.other.example' }
    const given = (domain: string) => named(faultsOf({ ...env, LEASEHOLD_WEBAUTHN_RP_ID: domain }))
    for (const domain of ['api.corp.example', 'corp.example', 'other.example']) expect([domain, given(domain)]).toEqual([domain, []])
    for (const domain of ['orp.example', 'x.api.corp.example', 'Corp.example', 'https://corp.example', '.example'])
      expect([domain, given(domain)]).toEqual([domain, ['LEASEHOLD_WEBAUTHN_RP_ID']])
  })
})
