import { sealType } from '#secrets/seal.ts'
import { isDevelopment } from '#store/development.ts'
import { ConfigurationError, type RoleName } from './config.ts'
import type { StartUp } from './start-up.ts'

/** A fault, or undefined. */
type Look = () => Promise<string | undefined>

/**
 * Production refuses servers of a development stack, whatever their addresses look like: a wrong variable is enough to point at
 * one. OpenBao and the provider may be down now; the adapter and the token check ask them again before they first believe them.
 * PostgreSQL has to answer, because nothing works without it.
 *
 * @throws ConfigurationError with all faults at once
 */
export async function refuseDevelopmentServers({ config, credentials, trust }: StartUp, roles: readonly RoleName[]): Promise<void> {
  if (config.mode !== 'production') return
  const [[user, password] = ['', '']] = Object.entries(credentials.postgres)
  const looks: Look[] = [
    async () => {
      const development = await isDevelopment({ url: config.postgresUrl, ca: trust.ca }, { user, password }).catch((error: unknown) => codeOf(error))
      if (typeof development === 'string')
        return `LEASEHOLD_POSTGRES_URL: this database cannot be asked whether it is one of a development stack (${development})`
      return development ? 'LEASEHOLD_POSTGRES_URL: this database has the people of a development stack' : undefined
    },
    async () =>
      (await sealType(config.openbaoUrl, trust.fetch).catch(() => undefined)) === 'static'
        ? 'LEASEHOLD_OPENBAO_URL: this OpenBao has a static seal, whose key lies beside what it protects'
        : undefined,
    async () =>
      roles.includes('api') && (await isDevelopmentProvider(config.oidcUrl, trust.fetch).catch(() => false))
        ? 'LEASEHOLD_OIDC_ISSUER: this is the embedded provider of a development stack'
        : undefined,
  ]
  const faults = (await Promise.all(looks.map((look) => look()))).filter((fault) => fault !== undefined)
  if (faults.length > 0) throw new ConfigurationError(faults)
}

async function isDevelopmentProvider(url: string, fetch: typeof globalThis.fetch): Promise<boolean> {
  const address = `${url.replace(/\/$/, '')}/.well-known/openid-configuration`
  const response = await fetch(address, { redirect: 'error', signal: AbortSignal.timeout(1_500) })
  return ((await response.json()) as { leasehold_development?: unknown }).leasehold_development === true
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : 'no answer'
}
