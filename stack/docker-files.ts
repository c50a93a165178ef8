import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createAuthority, issue, type Authority } from './certificates.ts'
import { randomSecret, readJson, writePrivate } from './home.ts'

/**
 * `npm run docker:files [FOLDER]`: makes what docker-compose.yml takes from `.docker/`: a certificate authority, a certificate
 * per server, passwords. What is there stays, except the certificates and the secret of the installation, which are made anew.
 */

const servers = ['postgres', 'openbao', 'nats', 'temporal', 'keycloak', 'api'] as const
const passwords = ['superuser', 'temporal', 'keycloak', 'keycloak-admin'] as const

/** What other files are made from, and what must not change under servers that have it. */
interface Kept {
  readonly authority: Authority
  readonly secret: Readonly<Record<(typeof passwords)[number], string>>
}

async function makeKept(): Promise<Kept> {
  const secret = Object.fromEntries(passwords.map((name) => [name, randomSecret()])) as Kept['secret']
  return { authority: await createAuthority('Leasehold on Docker'), secret }
}

export async function writeDockerFiles(folder: string): Promise<void> {
  const file = (name: string): string => path.join(folder, name)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (!existsSync(file('kept.json'))) writePrivate(file('kept.json'), await makeKept())
  const { authority, secret } = readJson<Kept>(file('kept.json'))
  writePrivate(file('ca.pem'), authority.cert)
  for (const server of servers) {
    const { cert, key } = await issue(authority, [server, 'localhost', '127.0.0.1'], 365)
    writePrivate(file(`${server}.pem`), cert)
    writePrivate(file(`${server}.key`), key)
  }
  for (const name of ['superuser', 'temporal', 'keycloak'] as const) writePrivate(file(`${name}-password`), secret[name])
  writePrivate(file('temporal.env'), `POSTGRES_PWD=${secret.temporal}\nSQL_PASSWORD=${secret.temporal}\n`)
  writePrivate(
    file('keycloak.env'),
    `KC_DB_PASSWORD=${secret.keycloak}\nKC_BOOTSTRAP_ADMIN_USERNAME=admin\nKC_BOOTSTRAP_ADMIN_PASSWORD=${secret['keycloak-admin']}\n`,
  )
  const boot = randomSecret()
  writePrivate(file('boot-secret-id'), boot)
  writePrivate(file('install-secrets.json'), { postgres: { user: 'postgres', password: secret.superuser }, openbao: { roleId: 'boot', secretId: boot } })
  const owner = 'LEASEHOLD_ACCOUNT_NAME=main\nLEASEHOLD_OWNER_SUB=\nLEASEHOLD_OWNER_EMAIL=\nLEASEHOLD_OWNER_NAME=\n'
  if (!existsSync(file('owner.env'))) writeFileSync(file('owner.env'), owner, { mode: 0o600 })
}

if (process.argv[1] === import.meta.filename) await writeDockerFiles(path.resolve(process.argv[2] ?? path.join(path.dirname(import.meta.dirname), '.docker')))
