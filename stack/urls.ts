import type { Ports } from './ports.ts'

export interface StackUrls {
  /** Base URL without trailing slash. */
  readonly api: string
  /** The same API over TLS 1.3, with the certificate of the stack's own authority. */
  readonly apiTls: string
  /** Null until there is one. */
  readonly console: string | null
  readonly issuer: string
  readonly temporal: string
  readonly temporalUi: string
  readonly nats: string
  readonly openbao: string
  readonly postgres: string
  readonly target: string
  /** Where mails go. */
  readonly smtp: string
  /** A page with the mails that were caught. */
  readonly mail: string
}

/** Where a server of somebody else is told to be, by the name of ours. */
const externalVariables = {
  postgres: 'LEASEHOLD_POSTGRES_URL',
  temporal: 'LEASEHOLD_TEMPORAL_ADDRESS',
  nats: 'LEASEHOLD_NATS_URL',
  openbao: 'LEASEHOLD_OPENBAO_URL',
  issuer: 'LEASEHOLD_OIDC_ISSUER',
  smtp: 'LEASEHOLD_SMTP_URL',
} as const

export function externalServers(env: Readonly<Record<string, string | undefined>> = process.env): ReadonlySet<string> {
  return new Set(
    Object.entries(externalVariables)
      .filter(([, variable]) => env[variable] !== undefined)
      .map(([name]) => name),
  )
}

/** An address given from outside wins over the one of a server that we would start. */
export function stackUrls(ports: Ports | undefined, env: Readonly<Record<string, string | undefined>> = process.env): StackUrls {
  const at = (name: keyof Ports): string => `127.0.0.1:${ports?.[name] ?? 0}`
  const given = (name: keyof typeof externalVariables): string | undefined => env[externalVariables[name]]
  return {
    api: `http://${at('api')}`,
    apiTls: `https://${at('apiTls')}`,
    console: null,
    issuer: given('issuer') ?? `http://${at('issuer')}`,
    temporal: given('temporal') ?? at('temporal'),
    temporalUi: `http://${at('temporalUi')}`,
    nats: given('nats') ?? `nats://${at('nats')}`,
    openbao: given('openbao') ?? `http://${at('openbao')}`,
    postgres: given('postgres') ?? `postgres://${at('postgres')}/leasehold`,
    smtp: given('smtp') ?? `smtp://${at('smtp')}`,
    mail: `http://${at('mail')}`,
    target: `postgres://${at('target')}/postgres`,
  }
}
