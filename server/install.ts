import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { operatorConfiguration } from '#connector-bridge/identity/operator.ts'
import { scramVerifier } from '#connector/scram.ts'
import { AccountId, UserId } from '#schemas/ids.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { provision } from '#secrets/provision.ts'
import { createTransit } from '#secrets/transit.ts'
import { connect, inAccount } from '#store/connection.ts'
import { createFirstOwner } from '#store/first-owner.ts'
import { migrate } from '#store/migrate.ts'
import { databaseRoles, ensureRoles, type DatabaseRole } from '#store/roles.ts'
import { ConfigurationError, roleNames, type RoleName } from './config.ts'
import { InstallEnvironment } from './install-environment.ts'
import { createTrust } from './trust.ts'

/**
 * `node server/install.ts`: prepares PostgreSQL and OpenBao for Leasehold and writes what the role processes and the NATS
 * servers need into one folder. Run again at an upgrade: what is there stays, and secret ids of OpenBao are renewed.
 */

const Secrets = z.strictObject({
  /** Superuser of PostgreSQL, for its roles and the database. */
  postgres: z.strictObject({ user: z.string().min(1), password: z.string().min(1) }),
  /** An AppRole that may administer OpenBao. */
  openbao: z.strictObject({ roleId: z.string().min(1), secretId: z.string().min(1) }),
})

/** What one installation keeps for itself, so that running it again changes no password. */
const Kept = z.strictObject({ passwords: z.record(z.enum(databaseRoles), z.string()), tenantSalt: z.base64url() })

const rolesOf: Readonly<Record<RoleName, readonly DatabaseRole[]>> = {
  api: ['leasehold_api'],
  worker: ['leasehold_worker', 'leasehold_relay', 'leasehold_expirer'],
  bridge: ['leasehold_bridge'],
}

async function main(): Promise<void> {
  const e = readEnvironment()
  const secrets = Secrets.parse(await readPrivate(e.LEASEHOLD_INSTALL_SECRETS_FILE))
  const trust = createTrust(await readFile(e.LEASEHOLD_CA_FILE, 'utf8'))
  const folder = e.LEASEHOLD_INSTALL_FOLDER
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { passwords, tenantSalt } = await keep(path.join(folder, 'install.json'))
  const database = decodeURIComponent(new URL(e.LEASEHOLD_POSTGRES_URL).pathname.slice(1))

  const verifiers = await Promise.all(databaseRoles.map(async (role) => [role, await scramVerifier(passwords[role])] as const))
  const superuserUrl = withLogin(e.LEASEHOLD_POSTGRES_URL, secrets.postgres, 'postgres')
  await ensureRoles(superuserUrl, Object.fromEntries(verifiers) as Record<DatabaseRole, string>, database, trust.ca)
  const owner = { user: 'leasehold_owner', password: passwords.leasehold_owner }
  await migrate(withLogin(e.LEASEHOLD_POSTGRES_URL, owner, database), trust.ca)

  const boot = { bootRoleId: secrets.openbao.roleId, bootSecretId: secrets.openbao.secretId }
  const logins = await provision({ url: e.LEASEHOLD_OPENBAO_URL, ...boot, fetch: trust.fetch })
  for (const role of roleNames) {
    const postgres = Object.fromEntries(rolesOf[role].map((name) => [name, passwords[name]]))
    await writePrivate(path.join(folder, `${role}.json`), JSON.stringify({ postgres, openbao: logins[`leasehold-${role}`], tenantSalt }))
  }
  const bridge = createOpenBao({ url: e.LEASEHOLD_OPENBAO_URL, ...logins['leasehold-bridge'], fetch: trust.fetch })
  await writePrivate(path.join(folder, 'operator.conf'), natsOperator(await operatorConfiguration(createTransit(bridge))))
  await ensureOwner({ url: e.LEASEHOLD_POSTGRES_URL, ca: trust.ca, ...owner, max: 1 }, e)
  process.stdout.write('installed\n')
}

function readEnvironment(): InstallEnvironment {
  const parsed = InstallEnvironment.safeParse(process.env)
  if (!parsed.success) throw new ConfigurationError(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`))
  return parsed.data
}

/** The first person of the installation; whoever has the login already keeps it. */
async function ensureOwner(login: Parameters<typeof connect>[0], e: InstallEnvironment): Promise<void> {
  const db = connect(login)
  try {
    const known = await db
      .selectFrom('login')
      .select('user_id')
      .where('iss', '=', e.LEASEHOLD_OIDC_ISSUER)
      .where('sub', '=', e.LEASEHOLD_OWNER_SUB)
      .executeTakeFirst()
    if (known !== undefined) return
    const accountId = AccountId.parse(randomUUID())
    const owner = { accountName: e.LEASEHOLD_ACCOUNT_NAME, iss: e.LEASEHOLD_OIDC_ISSUER, sub: e.LEASEHOLD_OWNER_SUB }
    const person = { userId: UserId.parse(randomUUID()), email: e.LEASEHOLD_OWNER_EMAIL, name: e.LEASEHOLD_OWNER_NAME }
    await inAccount(db, accountId, (trx) => createFirstOwner(trx, accountId, { ...owner, ...person }))
  } finally {
    await db.destroy()
  }
}

/** The part of a NATS server's configuration that makes it trust our operator: public keys and signed claims, no secret. */
const natsOperator = ({ operatorJwt, systemAccount, resolverPreload }: Awaited<ReturnType<typeof operatorConfiguration>>): string =>
  [
    `operator: ${operatorJwt}`,
    `system_account: ${systemAccount}`,
    `resolver_preload: { ${Object.entries(resolverPreload)
      .map(([key, jwt]) => `${key}: ${jwt}`)
      .join(', ')} }`,
    '',
  ].join('\n')

function withLogin(url: string, { user, password }: { readonly user: string; readonly password: string }, database: string): string {
  const address = new URL(url)
  address.username = user
  address.password = encodeURIComponent(password)
  address.pathname = `/${database}`
  return address.href
}

async function keep(file: string): Promise<z.infer<typeof Kept>> {
  const known = await readPrivate(file).catch((error: { code?: unknown }) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (known !== undefined) return Kept.parse(known)
  const random = (): string => randomBytes(32).toString('base64url')
  const made = { passwords: Object.fromEntries(databaseRoles.map((role) => [role, random()])) as Record<DatabaseRole, string>, tenantSalt: random() }
  await writePrivate(file, JSON.stringify(made))
  return made
}

async function readPrivate(file: string): Promise<unknown> {
  if (((await stat(file)).mode & 0o077) !== 0) throw new Error('files with secrets must be readable by their owner only (0600)')
  return JSON.parse(await readFile(file, 'utf8'))
}

async function writePrivate(file: string, text: string): Promise<void> {
  await writeFile(`${file}.next`, text, { mode: 0o600 })
  await rename(`${file}.next`, file)
}

main().catch((error: unknown) => {
  // Errors of schemas and drivers may quote what they failed on: names and codes say enough.
  const { name, code, message } = error as Error & { code?: unknown }
  const words = error instanceof ConfigurationError || name === 'Error' ? message : `${name}${typeof code === 'string' ? ` ${code}` : ''}`
  process.stderr.write(`${words}\n`)
  process.exit(1)
})
