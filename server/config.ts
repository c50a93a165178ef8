import { z } from 'zod'

/** Everything that a role process is told from outside. Passwords and keys come from the credentials file, never from here. */
const port = z.coerce.number().int().min(1).max(65_535)
const url = (...protocols: string[]) =>
  z
    .url()
    .refine((value) => URL.canParse(value) && protocols.includes(new URL(value).protocol), { error: `must be a URL with ${protocols.join(' or ')}` })
    .refine((value) => !URL.canParse(value) || (new URL(value).username === '' && new URL(value).password === ''), {
      error: 'must not hold a user or a password',
    })

const Environment = z.object({
  LEASEHOLD_MODE: z.enum(['dev', 'production']),
  LEASEHOLD_POSTGRES_URL: url('postgres:', 'postgresql:'),
  LEASEHOLD_CREDENTIALS_FILE: z.string().min(1),
  LEASEHOLD_TEMPORAL_ADDRESS: z.string().regex(/^[^\s/:]+:\d+$/, 'must be host:port'),
  LEASEHOLD_TEMPORAL_NAMESPACE: z.string().min(1).default('leasehold'),
  LEASEHOLD_TASK_QUEUE_SUFFIX: z
    .string()
    .regex(/^[a-z0-9-]*$/)
    .default(''),
  LEASEHOLD_NATS_URL: url('nats:', 'tls:'),
  LEASEHOLD_OPENBAO_URL: url('http:', 'https:'),
  LEASEHOLD_OIDC_ISSUER: z.url(),
  LEASEHOLD_OIDC_URL: url('http:', 'https:').optional(),
  LEASEHOLD_API_AUDIENCE: z.string().min(1).default('https://leasehold.local/api'),
  LEASEHOLD_API_URL: url('http:', 'https:'),
  LEASEHOLD_API_PORT: port.default(8443),
  LEASEHOLD_API_REPLICA_PORT: port.optional(),
  LEASEHOLD_HEALTH_PORT: port.optional(),
  LEASEHOLD_TEMPORAL_SILENCE_MINUTES: z.coerce.number().int().min(1).max(1_440).default(15),
  LEASEHOLD_CACHE_DIRECTORY: z.string().min(1).optional(),
  LEASEHOLD_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
})

export interface Config {
  readonly mode: 'dev' | 'production'
  readonly postgresUrl: string
  readonly credentialsFile: string
  readonly temporalAddress: string
  readonly temporalNamespace: string
  readonly taskQueueSuffix: string
  readonly natsUrl: string
  readonly openbaoUrl: string
  /** The exact `iss` of access tokens. */
  readonly oidcIssuer: string
  /** Where the issuer is reached from here. */
  readonly oidcUrl: string
  readonly apiAudience: string
  /** Public base URL without trailing slash; the base of `htu` in DPoP proofs. */
  readonly apiUrl: string
  readonly apiPort: number
  readonly apiReplicaPort: number | undefined
  readonly healthPort: number | undefined
  /** Standard checkouts stop when the relay has heard nothing from Temporal for so long. */
  readonly temporalSilenceMinutes: number
  /** Where a worker keeps its workflow bundle; undefined: nowhere. */
  readonly cacheDirectory: string | undefined
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
}

/** All faults of the configuration at once: names and rules, never values. */
export class ConfigurationError extends Error {
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(`the configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
    this.name = 'ConfigurationError'
    this.faults = faults
  }
}

/**
 * Reads the configuration of a role process.
 *
 * @throws ConfigurationError naming every faulty variable
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const parsed = Environment.safeParse(env)
  if (!parsed.success) throw new ConfigurationError(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`))
  const e = parsed.data
  const config: Config = {
    mode: e.LEASEHOLD_MODE,
    postgresUrl: e.LEASEHOLD_POSTGRES_URL,
    credentialsFile: e.LEASEHOLD_CREDENTIALS_FILE,
    temporalAddress: e.LEASEHOLD_TEMPORAL_ADDRESS,
    temporalNamespace: e.LEASEHOLD_TEMPORAL_NAMESPACE,
    taskQueueSuffix: e.LEASEHOLD_TASK_QUEUE_SUFFIX,
    natsUrl: e.LEASEHOLD_NATS_URL,
    openbaoUrl: e.LEASEHOLD_OPENBAO_URL,
    oidcIssuer: e.LEASEHOLD_OIDC_ISSUER,
    oidcUrl: e.LEASEHOLD_OIDC_URL ?? e.LEASEHOLD_OIDC_ISSUER,
    apiAudience: e.LEASEHOLD_API_AUDIENCE,
    apiUrl: e.LEASEHOLD_API_URL.replace(/\/$/, ''),
    apiPort: e.LEASEHOLD_API_PORT,
    apiReplicaPort: e.LEASEHOLD_API_REPLICA_PORT,
    healthPort: e.LEASEHOLD_HEALTH_PORT,
    temporalSilenceMinutes: e.LEASEHOLD_TEMPORAL_SILENCE_MINUTES,
    cacheDirectory: e.LEASEHOLD_CACHE_DIRECTORY,
    logLevel: e.LEASEHOLD_LOG_LEVEL,
  }
  const faults = modeFaults(config)
  if (faults.length > 0) throw new ConfigurationError(faults)
  return config
}

const loopback = /^(127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/

/** Plain connections may exist in dev mode and on loopback only. */
function modeFaults(config: Config): string[] {
  const links: [name: string, address: string, encrypted: boolean][] = [
    ['LEASEHOLD_POSTGRES_URL', config.postgresUrl, new URL(config.postgresUrl).searchParams.get('sslmode') === 'verify-full'],
    ['LEASEHOLD_NATS_URL', config.natsUrl, config.natsUrl.startsWith('tls:')],
    ['LEASEHOLD_OPENBAO_URL', config.openbaoUrl, config.openbaoUrl.startsWith('https:')],
    ['LEASEHOLD_OIDC_URL', config.oidcUrl, config.oidcUrl.startsWith('https:')],
    ['LEASEHOLD_API_URL', config.apiUrl, config.apiUrl.startsWith('https:')],
  ]
  return links
    .filter(([, , encrypted]) => !encrypted)
    .flatMap(([name, address]) => {
      if (config.mode === 'production') return [`${name}: production refuses connections that are not encrypted and checked`]
      const host = new URL(address).hostname
      return host === '' || loopback.test(host) ? [] : [`${name}: a plain connection must stay on loopback`]
    })
}
