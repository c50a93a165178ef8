import { operatorConfiguration } from '#connector-bridge/identity/operator.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { provision } from '#secrets/provision.ts'
import { createTransit } from '#secrets/transit.ts'
import { migrate } from '#store/migrate.ts'
import { databaseRoles, ensureRoles, type DatabaseRole } from '#store/roles.ts'
import { scramVerifier } from '#connector/scram.ts'
import { cacheFolders, resolveProgram, serverPrograms } from './binaries.ts'
import type { StackCredentials } from './credentials.ts'
import type { Home } from './home.ts'
import { mailProgram } from './mail.ts'
import { natsProgram } from './nats.ts'
import { oidcProgram } from './oidc-program.ts'
import { bootRoleId, openbaoProgram } from './openbao.ts'
import type { Ports } from './ports.ts'
import { resolvePostgres } from './postgres-programs.ts'
import { postgresProgram, superuserUrl } from './postgres.ts'
import type { Process, Program } from './process.ts'
import { writeRoleCredentials } from './role-credentials.ts'
import { ensureTargetRoles } from './target.ts'
import { temporalProgram } from './temporal.ts'

export interface ServerContext {
  readonly home: Home
  readonly ports: Ports
  readonly credentials: StackCredentials
  readonly timeSkipping: boolean
  /** Registers a program with the supervisor. */
  readonly add: (program: Program) => Process
  /** Servers that somebody else runs: they are neither started nor provisioned. */
  readonly external: ReadonlySet<string>
}

export const ownerUrl = ({ ports, credentials }: ServerContext): string =>
  `postgres://leasehold_owner:${credentials.postgres.leasehold_owner}@127.0.0.1:${ports.postgres}/leasehold`

/** Starts all servers at once, each with what must be true of it before a role may use it. */
export async function startServers(context: ServerContext): Promise<void> {
  const { external } = context
  const starts: Record<string, () => Promise<void>> = {
    openbao: () => startOpenBao(context),
    postgres: () => startPostgres(context),
    target: () => startTarget(context),
    temporal: () => startTemporal(context),
    issuer: () => startIssuer(context),
    smtp: async () => context.add(mailProgram(context.home, context.ports)).up(),
  }
  await Promise.all(
    Object.entries(starts)
      .filter(([name]) => !external.has(name))
      .map(([, start]) => start()),
  )
}

async function startPostgres({ home, ports, credentials, add }: ServerContext): Promise<void> {
  const password = credentials.postgres.superuser
  await add(postgresProgram(home, { name: 'postgres', port: ports.postgres, password, programs: resolvePostgres(home) })).up()
  const verifiers = await Promise.all(databaseRoles.map(async (role) => [role, await scramVerifier(credentials.postgres[role])] as const))
  await ensureRoles(superuserUrl(ports.postgres, password), Object.fromEntries(verifiers) as Record<DatabaseRole, string>)
  await migrate(`postgres://leasehold_owner:${credentials.postgres.leasehold_owner}@127.0.0.1:${ports.postgres}/leasehold`)
}

async function startTarget({ home, ports, credentials, add }: ServerContext): Promise<void> {
  const password = credentials.target.superuser
  await add(postgresProgram(home, { name: 'target', port: ports.target, password, programs: resolvePostgres(home) })).up()
  await ensureTargetRoles(superuserUrl(ports.target, password), credentials.target)
}

async function startTemporal({ home, ports, timeSkipping, add }: ServerContext): Promise<void> {
  await add(temporalProgram(home, resolveProgram(serverPrograms.temporal, cacheFolders(home)), ports, timeSkipping)).up()
}

/** NATS follows OpenBao, which holds the keys of its operator. */
async function startOpenBao({ home, ports, credentials, external, add }: ServerContext): Promise<void> {
  const url = `http://127.0.0.1:${ports.openbao}`
  await add(openbaoProgram(home, resolveProgram(serverPrograms.openbao, cacheFolders(home)), ports, credentials.openbaoBoot)).up()
  const logins = await provision({ url, bootRoleId, bootSecretId: credentials.openbaoBoot })
  writeRoleCredentials(home, credentials, logins)
  if (external.has('nats')) return
  const transit = createTransit(createOpenBao({ url, ...logins['leasehold-bridge'] }))
  await add(natsProgram(home, resolveProgram(serverPrograms.nats, cacheFolders(home)), ports, await operatorConfiguration(transit))).up()
}

async function startIssuer({ home, ports, add }: ServerContext): Promise<void> {
  await add(await oidcProgram(home, ports.issuer)).up()
}
