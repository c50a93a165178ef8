import { readFile, stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { ConfigurationError, readConfig, type Config, type RoleName } from './config.ts'
import { readCredentials, type Credentials } from './credentials.ts'
import type { Certificate } from './listener.ts'
import type { TemporalTls } from './temporal-link.ts'
import { createTrust, type Trust } from './trust.ts'

/** Everything that a role process needs to know before it does anything. */
export interface StartUp {
  readonly config: Config
  readonly credentials: Credentials
  readonly trust: Trust
  /** Of the API's TLS listener. */
  readonly certificate: Certificate | undefined
  readonly temporalTls: TemporalTls | undefined
}

/**
 * Reads the environment and every file that it names.
 *
 * @throws ConfigurationError with all faults at once; no value, no content
 */
export async function readStartUp(env: Readonly<Record<string, string | undefined>>, roles: readonly RoleName[]): Promise<StartUp> {
  const config = readConfig(env, roles)
  const faults: string[] = []
  const attempt = <T>(name: string, read: () => Promise<T>): Promise<T | undefined> =>
    read().catch((error: unknown) => {
      faults.push(`${name}: ${reasonOf(error)}`)
      return undefined
    })
  const credentials = await attempt('LEASEHOLD_CREDENTIALS_FILE', () => readCredentials(config.credentialsFile, config.tenantSalt))
  const ca = await attempt('LEASEHOLD_CA_FILE', () => readAuthorities(config.caFile))
  const certificate = await attempt('LEASEHOLD_TLS_CERT_FILE, LEASEHOLD_TLS_KEY_FILE', () => readPair(config.tlsCertFile, config.tlsKeyFile))
  const client = await attempt('LEASEHOLD_TEMPORAL_CLIENT_CERT_FILE, LEASEHOLD_TEMPORAL_CLIENT_KEY_FILE', () =>
    readPair(config.temporalClientCertFile, config.temporalClientKeyFile),
  )
  if (faults.length > 0 || credentials === undefined) throw new ConfigurationError(faults)
  const temporalTls = config.temporalTls ? { ca, serverName: config.temporalServerName, client } : undefined
  return { config, credentials, trust: createTrust(ca), certificate, temporalTls }
}

async function readAuthorities(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  const pem = await readFile(file, 'utf8')
  // An empty bundle would leave no authority, or, worse, be taken for none given.
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new Error('has no certificate')
  usable(() => createSecureContext({ ca: pem }), 'has a certificate that cannot be read')
  return pem
}

async function readPair(certFile: string | undefined, keyFile: string | undefined): Promise<Certificate | undefined> {
  if (certFile === undefined || keyFile === undefined) return undefined
  if (((await stat(keyFile)).mode & 0o077) !== 0) throw new Error('the key must be readable by its owner only (0600)')
  const pair = { cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') }
  usable(() => createSecureContext(pair), 'cannot be used together')
  return pair
}

/** OpenSSL's own words may quote what they read. */
function usable(attempt: () => unknown, otherwise: string): void {
  try {
    attempt()
  } catch {
    throw new Error(otherwise)
  }
}

/** Errors of the file system name the path; their code says enough. */
function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return typeof code === 'string' ? `cannot be read (${code})` : String(message)
}
