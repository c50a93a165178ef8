import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { roleNames, readConfig, type RoleName } from '#server/config.ts'
import { Environment } from '#server/environment.ts'
import { InstallEnvironment } from '#server/install-environment.ts'
import { compose, composeText, root, service, type Service } from './compose.ts'

const services = Object.entries(compose.services)
const each = services.map(([name, one]) => ({ name, one }))
/** Services that end by themselves. */
const jobs = ['files', 'install', 'temporal-schema', 'temporal-namespace']

/** Repositories and versions that docs/dependencies.md and the local stack go with. */
const allowed: Readonly<Record<string, RegExp>> = {
  postgres: /^18\.\d+$/,
  'openbao/openbao': /^2\.7\.\d+$/,
  nats: /^2\.15\.\d+-alpine$/,
  'temporalio/server': /^1\.32\.\d+$/,
  'temporalio/admin-tools': /^1\.32\.\d+$/,
  'keycloak/keycloak': /^26\.\d+\.\d+$/,
  leasehold: /^0\.1\.0$/,
  node: /^24\.\d+\.\d+-trixie-slim$/,
}

function expectAllowed(reference: string): void {
  const [, repository = '', tag = ''] = /^([a-z0-9-]+(?:\/[a-z0-9-]+)?):([\w.-]+)$/.exec(reference) ?? []
  expect(tag).toMatch(allowed[repository] ?? /^$no such image/)
}

describe('images', () => {
  test.each(each)('$name runs an image of the list, with a full version as its tag', ({ one }) => expectAllowed(one.image))

  test('our own is built in two stages, from the lock, and does not run as root', () => {
    const lines = readFileSync(path.join(root, 'Dockerfile'), 'utf8').split('\n')
    const bases = lines.filter((line) => line.startsWith('FROM ')).map((line) => line.split(' ')[1] as string)
    expect(bases).toHaveLength(2)
    for (const base of bases) expectAllowed(base)
    expect(lines.some((line) => line.startsWith('RUN npm ci --ignore-scripts --omit=dev'))).toBe(true)
    expect(lines.filter((line) => line.startsWith('USER '))).toEqual(['USER 1000:1000'])
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }
    expect(service('api').image).toBe(`leasehold:${version}`)
  })

  test('our own holds every folder that it copies, and the programs that the services start', () => {
    const copied = [...readFileSync(path.join(root, 'Dockerfile'), 'utf8').matchAll(/^COPY ([a-z-]+) \1$/gm)].map(([, folder]) => folder as string)
    expect(copied.length).toBeGreaterThan(8)
    const kept = readFileSync(path.join(root, '.dockerignore'), 'utf8')
    for (const folder of copied) {
      expect(existsSync(path.join(root, folder))).toBe(true)
      expect(kept).toContain(`\n!${folder}\n`)
    }
    const programs = services.filter(([, one]) => one.image.startsWith('leasehold:')).map(([, one]) => one.command?.[0] ?? '')
    expect(programs).toHaveLength(5)
    for (const program of programs) {
      expect(existsSync(path.join(root, program))).toBe(true)
      expect(copied).toContain(program.split('/')[0])
    }
  })
})

describe('the file as a whole', () => {
  test.each(each.filter(({ name }) => !jobs.includes(name)))('$name has a health check and comes back after a failure', ({ one }) => {
    expect(one.healthcheck?.test?.[0]).toBe('CMD')
    expect(one.restart).toBe('unless-stopped')
  })

  test.each(each)('$name waits for services that exist, with the condition that fits them', ({ one }) => {
    for (const [name, { condition }] of Object.entries(one.depends_on ?? {})) {
      expect(compose.services[name]).toBeDefined()
      expect(condition).toBe(jobs.includes(name) ? 'service_completed_successfully' : 'service_healthy')
      // What is started only on request must not be waited for by what is started always.
      if (compose.services[name]?.profiles !== undefined) expect(one.profiles).toEqual(compose.services[name].profiles)
    }
  })

  test.each(each)('$name is started and checked with words, none of which the engine would replace', ({ one }) => {
    for (const word of [...(one.entrypoint ?? []), ...(one.command ?? []), ...(one.healthcheck?.test ?? [])]) {
      expect(word).toEqual(expect.any(String))
      expect(word).not.toContain('$')
    }
  })

  test('every volume is declared and used, and every file of ours that is mounted exists', () => {
    const mounts = services.flatMap(([, { volumes = [] }]) => volumes.map((mount) => mount.split(':')[0] as string))
    const [files, names] = [mounts.filter((mount) => mount.startsWith('.')), mounts.filter((mount) => !mount.startsWith('.'))]
    expect(new Set(names)).toEqual(new Set(Object.keys(compose.volumes)))
    for (const file of files.filter((mount) => mount !== './.docker')) expect(existsSync(path.join(root, file))).toBe(true)
  })

  test('no password, key or token is in it', () => {
    const variables = services.flatMap(([, { environment = {} }]) => Object.keys(environment))
    expect(variables.filter((name) => /PASSWORD|PWD|SECRET|TOKEN|SALT|KEY$/.test(name) && !/_FILE$|_KEY$/.test(name))).toEqual([])
    for (const { environment = {} } of Object.values(compose.services))
      for (const [name, value] of Object.entries(environment)) if (/KEY|PASSWORD_FILE|SECRETS_FILE/.test(name)) expect(value).toMatch(/^\/files\//)
    expect(composeText).not.toMatch(/:\/\/[^/\s]+:[^/\s]+@/)
    expect(readFileSync(path.join(root, '.gitignore'), 'utf8')).toContain('.docker/\n')
  })

  test('only the API and the provider are published, on loopback, under the port that they have inside', () => {
    const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => [name, port]))
    expect(published).toEqual([
      ['keycloak', '127.0.0.1:8443:8443'],
      ['api', '127.0.0.1:7443:7443'],
    ])
  })

  test('a role sees its own credentials and nobody else does', () => {
    const holders = (volume: string) => services.filter(([, { volumes = [] }]) => volumes.some((mount) => mount.startsWith(`${volume}:`))).map(([name]) => name)
    for (const role of roleNames) expect(holders(`${role}-files`)).toEqual(['files', role])
    expect(holders('install-data')).toEqual(['files', 'install'])
    expect(holders('install-files')).toEqual(['files', 'install'])
  })
})

/** Host and port of each service as the others reach it. */
const listeners: Readonly<Record<string, string>> = { postgres: '5432', openbao: '8200', nats: '4222', temporal: '7233', keycloak: '8443', api: '7443' }

describe('the roles', () => {
  const environmentOf = (name: string): Record<string, string> => ({ ...service(name).environment })
  const expectSchema = (one: Service, shape: object) => expect(Object.keys(shape)).toEqual(expect.arrayContaining(Object.keys(one.environment ?? {})))

  test.each(roleNames)('%s has a complete production environment, of variables that exist', (role: RoleName) => {
    expectSchema(service(role), Environment.shape)
    const config = readConfig(environmentOf(role), [role])
    expect(config.mode).toBe('production')
    expect(service(role).command).toEqual(['server/main.ts', '--roles', role])
    expect(service(role).healthcheck?.test?.join(' ')).toContain(`http://127.0.0.1:${config.healthPort}/readyz`)
  })

  test('the installation has a complete environment, together with the file that names the owner', () => {
    const one = service('install')
    expectSchema(one, InstallEnvironment.shape)
    expect(one.env_file).toEqual(['.docker/owner.env'])
    const owner = { LEASEHOLD_ACCOUNT_NAME: 'main', LEASEHOLD_OWNER_SUB: 'a', LEASEHOLD_OWNER_EMAIL: 'a@example.com', LEASEHOLD_OWNER_NAME: 'A' }
    expect(InstallEnvironment.safeParse({ ...one.environment, ...owner }).error).toBeUndefined()
    const { LEASEHOLD_OIDC_ISSUER, LEASEHOLD_POSTGRES_URL, LEASEHOLD_OPENBAO_URL } = environmentOf('api')
    expect(one.environment).toMatchObject({ LEASEHOLD_OIDC_ISSUER, LEASEHOLD_POSTGRES_URL, LEASEHOLD_OPENBAO_URL })
  })

  test('the connector reads one variable', () => expect(Object.keys(environmentOf('connector'))).toEqual(['LEASEHOLD_CA_FILE']))

  test('every address names a service and the port that it listens on', () => {
    const e = environmentOf('api')
    const addresses = Object.entries(e).filter(([name]) => /_(URL|ISSUER|ADDRESS)$/.test(name))
    expect(addresses).toHaveLength(6)
    for (const [name, address] of addresses) {
      const { hostname, port } = new URL(name === 'LEASEHOLD_TEMPORAL_ADDRESS' ? `temporal://${address}` : address)
      expect([hostname, port]).toEqual([hostname, listeners[hostname]])
    }
    expect(e['LEASEHOLD_API_PORT']).toBe(listeners['api'])
    expect(service('keycloak').environment?.['KC_HOSTNAME']).toBe(new URL(e['LEASEHOLD_OIDC_ISSUER'] as string).origin)
    const realm = JSON.parse(readFileSync(path.join(root, 'deploy/keycloak/leasehold-realm.json'), 'utf8')) as { realm: string }
    // Where the console of the realm is when nobody says otherwise.
    expect(JSON.stringify(realm)).toContain(`\${LEASEHOLD_API_URL:${e['LEASEHOLD_API_URL']}}`)
    const setup = (file: string) => readFileSync(path.join(root, 'deploy/docker', file), 'utf8')
    expect(setup('nats.conf')).toContain(`"0.0.0.0:${listeners['nats']}"`)
    expect((JSON.parse(setup('openbao.json')) as { listener: { tcp: { address: string } }[] }).listener[0]?.tcp.address).toBe(`0.0.0.0:${listeners['openbao']}`)
    expect(setup('temporal-namespace.sh')).toContain(`temporal:${listeners['temporal']}`)
    expect(new URL(e['LEASEHOLD_OIDC_ISSUER'] as string).pathname).toBe(`/realms/${realm.realm}`)
  })
})
