import type { Permission } from '#schemas/principal.ts'
import { Secret } from '#schemas/secret.ts'
import type { StepUpRules } from '#schemas/step-up.ts'
import { Environment, listed } from './environment.ts'
import { modeFaults } from './mode-faults.ts'

export const roleNames = ['api', 'worker', 'bridge'] as const
export type RoleName = (typeof roleNames)[number]

/** Everything that a role process is told from outside; the files that it names are read by server/start-up.ts. */
export interface Config {
  readonly mode: 'dev' | 'production'
  readonly credentialsFile: string
  /** Certificate authorities of every link of ours; undefined: those that come with Node. */
  readonly caFile: string | undefined
  readonly postgresUrl: string
  readonly temporalAddress: string
  readonly temporalNamespace: string
  readonly temporalTls: boolean
  readonly temporalServerName: string | undefined
  readonly temporalClientCertFile: string | undefined
  readonly temporalClientKeyFile: string | undefined
  readonly taskQueueSuffix: string
  readonly natsUrl: string
  readonly openbaoUrl: string
  /** The exact `iss` of access tokens. */
  readonly oidcIssuer: string
  /** Where the issuer is reached from here. */
  readonly oidcUrl: string
  readonly supportIssuer: string | undefined
  readonly supportIssuerUrl: string | undefined
  /** What support staff may do while an account lets them in. */
  readonly supportPermissions: readonly Permission[]
  readonly apiAudience: string
  /** Public base URL without trailing slash; the base of `htu` in DPoP proofs. */
  readonly apiUrl: string
  /** Tokens that are bound to no key are enough. Default: in dev mode only. */
  readonly audienceFallback: boolean
  /** Default: in production. */
  readonly dpopNonceRequired: boolean
  /** Names of authentication contexts (`acr`), weakest first. */
  readonly tokensCountOnce: boolean
  readonly acrOrder: readonly string[]
  readonly stepUp: StepUpRules
  readonly apiHost: string
  /** TLS 1.3 in production, plain in dev mode. */
  readonly apiPort: number
  readonly apiReplicaPort: number | undefined
  /** TLS 1.3 beside the plain listener of dev mode. */
  readonly apiTlsPort: number | undefined
  readonly tlsCertFile: string | undefined
  readonly tlsKeyFile: string | undefined
  readonly healthPort: number | undefined
  /** Standard checkouts stop when the relay has heard nothing from Temporal for so long. */
  readonly temporalSilenceMinutes: number
  /** Of the API: requests of one caller, and failed authentications of one address and user. */
  readonly rates: { readonly perSecond: number; readonly burst: number; readonly failuresPerMinute: number }
  /** Origins whose scripts may read what the API answers. */
  readonly corsOrigins: readonly string[]
  /** Domain that security keys are bound to; undefined: that of `apiUrl`. */
  readonly webauthnRpId: string | undefined
  /** The mail server of the installation; undefined: it sends no mail of its own. */
  readonly smtpUrl: string | undefined
  readonly smtpFrom: string
  /** Networks (CIDR) that notification channels may lead to although they are not of the public internet. */
  readonly notificationNetworks: readonly string[]
  /** Where a worker keeps its workflow bundle; undefined: nowhere. */
  readonly cacheDirectory: string | undefined
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  /** base64url; undefined: the credentials file has it. */
  readonly tenantSalt: Secret<string> | undefined
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
 * @param roles that the process starts; some rules hold for the API only
 * @throws ConfigurationError naming every faulty variable
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, roles: readonly RoleName[] = roleNames): Config {
  const parsed = Environment.safeParse(env)
  const shape = parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  // A faulty variable must not hide what else is wrong: the rules of the mode are asked about those that are well formed.
  const wellFormed = parsed.success ? parsed.data : wellFormedPart(env)
  const faults = [...shape, ...modeFaults(wellFormed, env, roles)]
  if (faults.length > 0 || !parsed.success) throw new ConfigurationError(faults)
  return toConfig(parsed.data)
}

function wellFormedPart(env: Readonly<Record<string, string | undefined>>): Partial<Environment> {
  const fields = Object.entries(Environment.shape).map(([name, schema]) => [name, schema.safeParse(env[name])] as const)
  return Object.fromEntries(fields.filter(([, field]) => field.success).map(([name, field]) => [name, field.data])) as Partial<Environment>
}

function toConfig(e: Environment): Config {
  return {
    mode: e.LEASEHOLD_MODE,
    credentialsFile: e.LEASEHOLD_CREDENTIALS_FILE,
    caFile: e.LEASEHOLD_CA_FILE,
    postgresUrl: e.LEASEHOLD_POSTGRES_URL,
    temporalAddress: e.LEASEHOLD_TEMPORAL_ADDRESS,
    temporalNamespace: e.LEASEHOLD_TEMPORAL_NAMESPACE,
    temporalTls: e.LEASEHOLD_TEMPORAL_TLS,
    temporalServerName: e.LEASEHOLD_TEMPORAL_SERVER_NAME,
    temporalClientCertFile: e.LEASEHOLD_TEMPORAL_CLIENT_CERT_FILE,
    temporalClientKeyFile: e.LEASEHOLD_TEMPORAL_CLIENT_KEY_FILE,
    taskQueueSuffix: e.LEASEHOLD_TASK_QUEUE_SUFFIX,
    natsUrl: e.LEASEHOLD_NATS_URL,
    openbaoUrl: e.LEASEHOLD_OPENBAO_URL,
    oidcIssuer: e.LEASEHOLD_OIDC_ISSUER,
    oidcUrl: e.LEASEHOLD_OIDC_URL ?? e.LEASEHOLD_OIDC_ISSUER,
    supportIssuer: e.LEASEHOLD_SUPPORT_ISSUER,
    supportIssuerUrl: e.LEASEHOLD_SUPPORT_ISSUER_URL ?? e.LEASEHOLD_SUPPORT_ISSUER,
    supportPermissions: e.LEASEHOLD_SUPPORT_PERMISSIONS,
    apiAudience: e.LEASEHOLD_API_AUDIENCE,
    apiUrl: e.LEASEHOLD_API_URL.replace(/\/$/, ''),
    audienceFallback: e.LEASEHOLD_AUDIENCE_FALLBACK ?? e.LEASEHOLD_MODE === 'dev',
    dpopNonceRequired: (e.LEASEHOLD_DPOP_NONCE ?? (e.LEASEHOLD_MODE === 'dev' ? 'optional' : 'required')) === 'required',
    tokensCountOnce: e.SECRETS_JTI_MODE === 'token',
    acrOrder: e.LEASEHOLD_ACR_VALUES.split(','),
    stepUp: stepUpOf(e.LEASEHOLD_MODE, e.LEASEHOLD_ACR_VALUES.split(',').at(-1) ?? null),
    apiHost: e.LEASEHOLD_API_HOST,
    apiPort: e.LEASEHOLD_API_PORT,
    apiReplicaPort: e.LEASEHOLD_API_REPLICA_PORT,
    apiTlsPort: e.LEASEHOLD_API_TLS_PORT,
    tlsCertFile: e.LEASEHOLD_TLS_CERT_FILE,
    tlsKeyFile: e.LEASEHOLD_TLS_KEY_FILE,
    healthPort: e.LEASEHOLD_HEALTH_PORT,
    temporalSilenceMinutes: e.LEASEHOLD_TEMPORAL_SILENCE_MINUTES,
    rates: ratesOf(e),
    corsOrigins: listed(e.LEASEHOLD_CORS_ORIGINS),
    webauthnRpId: e.LEASEHOLD_WEBAUTHN_RP_ID,
    smtpUrl: e.LEASEHOLD_SMTP_URL,
    smtpFrom: e.LEASEHOLD_SMTP_FROM ?? `leasehold@${new URL(e.LEASEHOLD_API_URL).hostname}`,
    notificationNetworks: listed(e.LEASEHOLD_NOTIFICATION_NETWORKS),
    cacheDirectory: e.LEASEHOLD_CACHE_DIRECTORY,
    logLevel: e.LEASEHOLD_LOG_LEVEL,
    tenantSalt: e.TENANT_SALT === undefined ? undefined : Secret.of(e.TENANT_SALT),
  }
}

/** Dev mode is for tests and benches, which are one caller each. */
function ratesOf(e: Environment): Config['rates'] {
  const [perSecond, burst, failuresPerMinute] = e.LEASEHOLD_MODE === 'dev' ? [2_000, 4_000, 1_000] : [50, 100, 20]
  return {
    perSecond: e.LEASEHOLD_RATE_PER_SECOND ?? perSecond,
    burst: e.LEASEHOLD_RATE_BURST ?? burst,
    failuresPerMinute: e.LEASEHOLD_FAILURES_PER_MINUTE ?? failuresPerMinute,
  }
}

/** Break-glass and administration always ask for the strongest login; production asks for it wherever a value is shown. */
function stepUpOf(mode: Config['mode'], strongest: string | null): StepUpRules {
  const [strong, any] = [
    { acr: strongest, maxAgeSeconds: null },
    { acr: null, maxAgeSeconds: null },
  ]
  const shown = mode === 'production' ? strong : any
  return { checkout: shown, reveal: shown, session: shown, break_glass: strong, admin: strong }
}
