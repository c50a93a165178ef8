import { z } from 'zod'

/** What support staff may be given: not what would let them decide about people, policies or themselves. */
const supportPermissions = ['pam_vaults.view', 'pam_vaults.manage', 'hosts.manage_users', 'pam_sessions.manage', 'pam_audit.view', 'connectors.manage'] as const
const port = z.coerce.number().int().min(1).max(65_535)
const file = z.string().min(1)
const count = z.coerce.number().int().min(1).max(1_000_000)
const hostPort = z.string().regex(/^[^\s/:]+:\d+$/, 'must be host:port')
const flag = z.enum(['true', 'false']).transform((value) => value === 'true')
const cidr = z.union([z.cidrv4(), z.cidrv6()])
const parts = (value: string): URL | undefined => (URL.canParse(value) ? new URL(value) : undefined)
export const listed = (value: string): string[] => value.split(',').filter((item) => item !== '')
const url = (...protocols: string[]) =>
  z
    .url()
    .refine((value) => protocols.includes(parts(value)?.protocol ?? ''), { error: `must be a URL with ${protocols.join(' or ')}` })
    .refine((value) => (parts(value)?.username ?? '') === '' && (parts(value)?.password ?? '') === '', { error: 'must not hold a user or a password' })
const postgresUrl = url('postgres:', 'postgresql:').refine((value) => ['', '?sslmode=disable', '?sslmode=verify-full'].includes(parts(value)?.search ?? ''), {
  error: 'may have the parameter sslmode, verify-full or disable, and no other',
})

/**
 * Every variable that a role process reads; docs/configuration.md is its manual. Passwords and keys come from files, because
 * an environment is visible to others.
 */
export const Environment = z.object({
  LEASEHOLD_MODE: z.enum(['dev', 'production']),
  LEASEHOLD_CREDENTIALS_FILE: file,
  LEASEHOLD_CA_FILE: file.optional(),
  LEASEHOLD_POSTGRES_URL: postgresUrl,
  LEASEHOLD_TEMPORAL_ADDRESS: hostPort,
  LEASEHOLD_TEMPORAL_NAMESPACE: z.string().min(1).default('leasehold'),
  LEASEHOLD_TEMPORAL_TLS: flag.default(false),
  LEASEHOLD_TEMPORAL_SERVER_NAME: z.string().min(1).optional(),
  LEASEHOLD_TEMPORAL_CLIENT_CERT_FILE: file.optional(),
  LEASEHOLD_TEMPORAL_CLIENT_KEY_FILE: file.optional(),
  LEASEHOLD_TASK_QUEUE_SUFFIX: z
    .string()
    .regex(/^[a-z0-9-]*$/)
    .default(''),
  LEASEHOLD_NATS_URL: url('nats:', 'tls:'),
  LEASEHOLD_OPENBAO_URL: url('http:', 'https:'),
  LEASEHOLD_OIDC_ISSUER: url('http:', 'https:'),
  LEASEHOLD_OIDC_URL: url('http:', 'https:').optional(),
  LEASEHOLD_API_AUDIENCE: z.string().min(1).default('https://leasehold.local/api'),
  LEASEHOLD_API_URL: url('http:', 'https:'),
  LEASEHOLD_AUDIENCE_FALLBACK: flag.optional(),
  LEASEHOLD_DPOP_NONCE: z.enum(['required', 'optional']).optional(),
  LEASEHOLD_ACR_VALUES: z
    .string()
    .regex(/^[\w.:/-]{1,64}(,[\w.:/-]{1,64}){1,9}$/, 'must list the names, weakest first')
    .default('pwd,mfa'),
  LEASEHOLD_API_HOST: z.string().min(1).default('127.0.0.1'),
  LEASEHOLD_API_PORT: port.default(8443),
  LEASEHOLD_API_REPLICA_PORT: port.optional(),
  LEASEHOLD_API_TLS_PORT: port.optional(),
  LEASEHOLD_TLS_CERT_FILE: file.optional(),
  LEASEHOLD_TLS_KEY_FILE: file.optional(),
  LEASEHOLD_HEALTH_PORT: port.optional(),
  LEASEHOLD_TEMPORAL_SILENCE_MINUTES: z.coerce.number().int().min(1).max(1_440).default(15),
  LEASEHOLD_RATE_PER_SECOND: count.optional(),
  LEASEHOLD_RATE_BURST: count.optional(),
  LEASEHOLD_FAILURES_PER_MINUTE: count.optional(),
  LEASEHOLD_CORS_ORIGINS: z
    .string()
    .refine((value) => listed(value).every((origin) => /^https?:[^*]+$/.test(origin) && parts(origin)?.origin === origin), {
      error: 'must list origins, scheme://host or scheme://host:port',
    })
    .default(''),
  LEASEHOLD_WEBAUTHN_RP_ID: z
    .string()
    .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/, 'must be a domain in lower case')
    .optional(),
  LEASEHOLD_SMTP_URL: url('smtp:', 'smtps:').optional(),
  LEASEHOLD_SMTP_FROM: z.email().optional(),
  LEASEHOLD_NOTIFICATION_NETWORKS: z
    .string()
    .refine((value) => listed(value).every((network) => cidr.safeParse(network).success), { error: 'must list networks, as 10.1.0.0/16' })
    .default(''),
  LEASEHOLD_SUPPORT_ISSUER: url('http:', 'https:').optional(),
  LEASEHOLD_SUPPORT_ISSUER_URL: url('http:', 'https:').optional(),
  LEASEHOLD_SUPPORT_PERMISSIONS: z
    .string()
    .transform(listed)
    .pipe(z.array(z.enum(supportPermissions)))
    .default(['pam_vaults.view']),
  LEASEHOLD_CACHE_DIRECTORY: z.string().min(1).optional(),
  LEASEHOLD_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  TENANT_SALT: z
    .base64url()
    .refine((value) => Buffer.from(value, 'base64url').length >= 32, { error: 'must be at least 32 bytes' })
    .optional(),
  ENABLE_AUTHORIZATION: flag.default(true),
  SECRETS_JTI_MODE: z.enum(['token', 'off']).default('token'),
  SECRETS_API_REQUIRE_AUTH: flag.default(true),
  SECRETS_YAML_WRITES: flag.default(false),
})
export type Environment = z.infer<typeof Environment>
