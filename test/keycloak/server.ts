import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { cacheFolders } from '#stack/binaries.ts'
import { startGuardian } from '#stack/guardian.ts'
import { randomSecret } from '#stack/home.ts'
import { oneTimeCode } from '#stack/oidc-users.ts'
import { createProcess } from '#stack/process.ts'
import { freePort } from '../support/free-port.ts'
import { openTemporaryHome } from '../support/temporary-home.ts'
import { findKeycloak, javaOptions } from './program.ts'
import type { TestProvider } from './provider.ts'
import { createSecurityKey } from './security-key.ts'

const realmFile = path.join(import.meta.dirname, '../../deploy/keycloak/leasehold-realm.json')
const startLimit = 150_000

/**
 * A real Keycloak with the realm of deploy/keycloak, everything in memory, on a random port of loopback.
 *
 * @returns why this machine cannot have one, where it cannot
 */
export async function startKeycloak(): Promise<TestProvider | string> {
  const home = openTemporaryHome()
  const program = await findKeycloak(cacheFolders(home)[0] ?? home.file('cache'))
  if (typeof program === 'string') {
    await home.remove()
    return program
  }
  const guardian = startGuardian()
  const person = {
    id: randomUUID(),
    username: 'kim',
    password: randomSecret(),
    totp: randomBytes(20)
      .toString('latin1')
      .replaceAll(/[^!-~]/g, 'x'),
  }
  const [key, keyPassword] = [createSecurityKey(), randomSecret()]
  const place = home.file('keycloak')
  for (const folder of ['data/import', 'conf', 'providers', 'themes']) mkdirSync(path.join(place, folder), { recursive: true })
  symlinkSync(program.lib, path.join(place, 'lib'))
  writeFileSync(path.join(place, 'data/import/realm.json'), JSON.stringify(realmWith(person, { password: keyPassword, credential: key.credential })), {
    mode: 0o600,
  })
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}/realms/leasehold`
  const server = createProcess(
    {
      name: 'keycloak',
      role: 'keycloak',
      port,
      // Other test files measure time meanwhile.
      command: 'nice',
      args: ['-n', '10', program.java, ...javaOptions(place, program.lib), 'start', '--optimized', '--import-realm', ...runOptions(port)],
      stopSignal: 'SIGTERM',
      ready: async () => {
        const response = await fetch(`${issuer}/.well-known/openid-configuration`, { redirect: 'error', signal: AbortSignal.timeout(2_000) })
        return response.ok && ((await response.json()) as { issuer: string }).issuer === issuer
      },
    },
    { guardian, logs: home.file('logs'), home: home.path },
  )
  const stop = async (): Promise<void> => {
    await server.stop()
    guardian.release()
    await home.remove()
  }
  await server.up({}, startLimit).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  const keyHolder = { knows: (html: string) => ({ username: 'lea', password: keyPassword, ...key.answer(html, new URL(issuer).origin) }) }
  return { issuer, person: { sub: person.id, knows: knowledge(person) }, keyHolder, stop }
}

const runOptions = (port: number): string[] => [
  '--http-enabled=true',
  '--http-host=127.0.0.1',
  `--http-port=${port}`,
  `--hostname=http://127.0.0.1:${port}`,
  '--cache=local',
]

interface Person {
  readonly id: string
  readonly username: string
  readonly password: string
  /** Key of the one-time codes, as text. */
  readonly totp: string
}

/** The realm as it is, but reached without TLS on loopback, with two people who have set everything up. */
function realmWith({ id, username, password, totp }: Person, lea: { readonly password: string; readonly credential: object }): object {
  const realm = JSON.parse(readFileSync(realmFile, 'utf8')) as object
  const otp = {
    type: 'otp',
    secretData: JSON.stringify({ value: totp }),
    credentialData: JSON.stringify({ subType: 'totp', digits: 6, counter: 0, period: 30, algorithm: 'HmacSHA1' }),
  }
  const user = (name: string) => ({ username: name, enabled: true, email: `${name}@acme.example`, emailVerified: true, firstName: name, lastName: 'Operator' })
  return {
    ...realm,
    sslRequired: 'external',
    groups: [{ name: 'operators', subGroups: [{ name: 'night' }] }],
    users: [
      { ...user(username), id, groups: ['/operators/night'], credentials: [{ type: 'password', value: password }, otp] },
      { ...user('lea'), groups: ['/operators/night'], credentials: [{ type: 'password', value: lea.password }, lea.credential] },
    ],
  }
}

/** Keycloak takes a one-time code once: each strong login gets one of its own, of this step or of the next. */
function knowledge({ username, password, totp }: Person): TestProvider['person']['knows'] {
  const used = new Set<string>()
  const secret = { totpSecret: Buffer.from(totp).toString('hex') }
  return (strong) => {
    if (!strong) return { username, password }
    const otp = [0, 30_000].map((ahead) => oneTimeCode(secret, Date.now() + ahead)).find((code) => !used.has(code))
    if (otp === undefined) throw new Error('both codes of this time are used')
    used.add(otp)
    return { username, password, otp }
  }
}
