import path from 'node:path'
import { certificateFiles, writeCertificates } from './certificates.ts'
import { apiAudience } from './oidc-configuration.ts'
import { freePort } from './ports.ts'
import type { Program } from './process.ts'
import { credentialsFile, type RoleName } from './role-credentials.ts'
import type { ServerContext } from './servers.ts'
import type { StackOptions } from './supervisor.ts'
import { temporalNamespace } from './temporal.ts'
import { stackUrls } from './urls.ts'

const entry = path.join(path.dirname(import.meta.dirname), 'server/main.ts')

/** Starts the role processes, all at once, and waits until each says that it can work. */
export async function startRoles(context: ServerContext, { apis, workers, roleEnvironment }: StackOptions): Promise<void> {
  const names: [RoleName, string][] = [
    ...Array.from({ length: apis }, (_, index): [RoleName, string] => ['api', `api-${index + 1}`]),
    ...Array.from({ length: workers }, (_, index): [RoleName, string] => ['worker', `worker-${index + 1}`]),
    ['bridge', 'bridge'],
  ]
  await writeCertificates(context.home)
  const programs = await Promise.all(names.map(async ([role, name]) => roleProgram(context, role, name, await freePort(), roleEnvironment)))
  await Promise.all(programs.map((program) => context.add(program).up()))
}

function roleProgram({ home, ports }: ServerContext, role: RoleName, name: string, port: number, replaced: Readonly<Record<string, string>>): Program {
  const urls = stackUrls(ports)
  const { certFile, keyFile } = certificateFiles(home)
  return {
    name,
    role,
    port,
    command: process.execPath,
    args: ['--enable-source-maps', entry, '--roles', role],
    stopSignal: 'SIGTERM',
    env: {
      LEASEHOLD_MODE: 'dev',
      LEASEHOLD_CREDENTIALS_FILE: credentialsFile(home, role),
      LEASEHOLD_POSTGRES_URL: urls.postgres,
      LEASEHOLD_TEMPORAL_ADDRESS: urls.temporal,
      LEASEHOLD_TEMPORAL_NAMESPACE: process.env['LEASEHOLD_TEMPORAL_NAMESPACE'] ?? temporalNamespace,
      LEASEHOLD_NATS_URL: urls.nats,
      LEASEHOLD_OPENBAO_URL: urls.openbao,
      LEASEHOLD_OIDC_ISSUER: urls.issuer,
      LEASEHOLD_OIDC_URL: process.env['LEASEHOLD_OIDC_URL'] ?? urls.issuer,
      LEASEHOLD_API_AUDIENCE: apiAudience,
      LEASEHOLD_API_URL: urls.api,
      LEASEHOLD_API_PORT: String(ports.api),
      LEASEHOLD_SMTP_URL: urls.smtp,
      LEASEHOLD_NOTIFICATION_NETWORKS: process.env['LEASEHOLD_NOTIFICATION_NETWORKS'] ?? '',
      LEASEHOLD_CACHE_DIRECTORY: home.file('cache'),
      LEASEHOLD_LOG_LEVEL: process.env['LEASEHOLD_LOG_LEVEL'] ?? 'info',
      ...(role === 'api'
        ? {
            LEASEHOLD_API_REPLICA_PORT: String(port),
            LEASEHOLD_API_TLS_PORT: String(ports.apiTls),
            LEASEHOLD_TLS_CERT_FILE: certFile,
            LEASEHOLD_TLS_KEY_FILE: keyFile,
          }
        : { LEASEHOLD_HEALTH_PORT: String(port) }),
      ...replaced,
    },
    ready: async () => {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`, { redirect: 'error', signal: AbortSignal.timeout(2_000) })
      await response.body?.cancel()
      return response.status === 200
    },
  }
}
