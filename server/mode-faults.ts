import { isUnder } from '#secrets/relying-party.ts'
import type { RoleName } from './config.ts'
import { listed, type Environment } from './environment.ts'

/** What is well formed of the environment; rules pass over what is not there. */
type Given = Partial<Environment>
type Variables = Readonly<Record<string, string | undefined>>

interface Link {
  readonly name: keyof Environment & string
  readonly address: string | undefined
  readonly checked: boolean
}

const encrypted = (address: string | undefined, protocol: string): boolean => address?.startsWith(`${protocol}:`) ?? false

function linksOf(given: Given): readonly Link[] {
  const { LEASEHOLD_POSTGRES_URL: postgres, LEASEHOLD_TEMPORAL_ADDRESS: temporal } = given
  const at = (name: Link['name'] & `LEASEHOLD_${string}_${'URL' | 'ISSUER'}`, protocol: string): Link => {
    const address = given[name] as string | undefined
    return { name, address, checked: encrypted(address, protocol) }
  }
  return [
    { name: 'LEASEHOLD_POSTGRES_URL', address: postgres, checked: postgres?.endsWith('?sslmode=verify-full') ?? false },
    { name: 'LEASEHOLD_TEMPORAL_TLS', address: temporal && `temporal://${temporal}`, checked: given.LEASEHOLD_TEMPORAL_TLS ?? false },
    at('LEASEHOLD_NATS_URL', 'tls'),
    at('LEASEHOLD_OPENBAO_URL', 'https'),
    at('LEASEHOLD_OIDC_ISSUER', 'https'),
    at('LEASEHOLD_OIDC_URL', 'https'),
    at('LEASEHOLD_SUPPORT_ISSUER', 'https'),
    at('LEASEHOLD_SUPPORT_ISSUER_URL', 'https'),
    at('LEASEHOLD_API_URL', 'https'),
  ]
}

const loopback = /^(127\.\d+\.\d+\.\d+|\[?::1\]?|localhost)$/
const isLocal = (address: string): boolean => {
  const { hostname } = new URL(address)
  return hostname === '' || loopback.test(hostname)
}

/** Rules that hold whatever the mode is. */
function generalFaults(given: Given, env: Variables): string[] {
  const faults: string[] = []
  const pairs = [
    ['LEASEHOLD_TLS_CERT_FILE', 'LEASEHOLD_TLS_KEY_FILE'],
    ['LEASEHOLD_TEMPORAL_CLIENT_CERT_FILE', 'LEASEHOLD_TEMPORAL_CLIENT_KEY_FILE'],
  ] as const
  for (const [cert, key] of pairs) {
    if ((given[cert] === undefined) !== (given[key] === undefined)) faults.push(`${given[cert] === undefined ? cert : key}: certificate and key come together`)
  }
  for (const name of ['LEASEHOLD_TEMPORAL_SERVER_NAME', 'LEASEHOLD_TEMPORAL_CLIENT_CERT_FILE'] as const) {
    if (given[name] !== undefined && given.LEASEHOLD_TEMPORAL_TLS === false) faults.push(`${name}: means nothing without LEASEHOLD_TEMPORAL_TLS=true`)
  }
  const { LEASEHOLD_WEBAUTHN_RP_ID: domain, LEASEHOLD_API_URL: api, LEASEHOLD_CORS_ORIGINS: origins } = given
  if (domain !== undefined && api !== undefined && ![api, ...listed(origins ?? '')].some((url) => isUnder(domain, url)))
    faults.push('LEASEHOLD_WEBAUTHN_RP_ID: must be the host of LEASEHOLD_API_URL or of an origin of LEASEHOLD_CORS_ORIGINS, or a domain above it')
  // Node would believe every certificate, of every server.
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') faults.push('NODE_TLS_REJECT_UNAUTHORIZED: must not be 0')
  return faults
}

function devFaults(given: Given): string[] {
  const faults = linksOf(given)
    .filter(({ checked, address }) => !checked && address !== undefined && !isLocal(address))
    .map(({ name }) => `${name}: a plain connection must stay on loopback`)
  // Production demands STARTTLS where it is not TLS from the start.
  const smtp = given.LEASEHOLD_SMTP_URL
  if (smtp !== undefined && !encrypted(smtp, 'smtps') && !isLocal(smtp)) faults.push('LEASEHOLD_SMTP_URL: a plain connection must stay on loopback')
  if (given.LEASEHOLD_API_HOST !== undefined && !loopback.test(given.LEASEHOLD_API_HOST)) faults.push('LEASEHOLD_API_HOST: dev mode listens on loopback only')
  if (given.LEASEHOLD_API_TLS_PORT !== undefined && given.LEASEHOLD_TLS_CERT_FILE === undefined)
    faults.push('LEASEHOLD_API_TLS_PORT: needs LEASEHOLD_TLS_CERT_FILE and LEASEHOLD_TLS_KEY_FILE')
  return faults
}

function productionFaults(given: Given, roles: readonly RoleName[]): string[] {
  const faults = linksOf(given)
    .filter(({ checked, address }) => !checked && address !== undefined)
    .map(({ name }) => `${name}: production refuses connections that are not encrypted and checked`)
  const refuse = (wrong: boolean, fault: string): void => {
    if (wrong) faults.push(fault)
  }
  if (roles.includes('api')) {
    for (const name of ['LEASEHOLD_TLS_CERT_FILE', 'LEASEHOLD_TLS_KEY_FILE'] as const)
      refuse(given[name] === undefined, `${name}: production has no API without TLS`)
  }
  refuse(given.LEASEHOLD_API_TLS_PORT !== undefined, 'LEASEHOLD_API_TLS_PORT: is for dev mode; production has TLS on LEASEHOLD_API_PORT')
  refuse(
    listed(given.LEASEHOLD_CORS_ORIGINS ?? '').some((origin) => !encrypted(origin, 'https')),
    'LEASEHOLD_CORS_ORIGINS: production refuses origins without TLS',
  )
  refuse(given.ENABLE_AUTHORIZATION === false, 'ENABLE_AUTHORIZATION: production refuses false')
  refuse(given.SECRETS_API_REQUIRE_AUTH === false, 'SECRETS_API_REQUIRE_AUTH: production refuses false')
  refuse(given.SECRETS_YAML_WRITES === true, 'SECRETS_YAML_WRITES: production refuses true')
  return faults
}

/** What the rules of the modes (plain links, listeners, switches) say against this environment: names and rules, never values. */
export function modeFaults(given: Given, env: Variables, roles: readonly RoleName[]): string[] {
  const ofMode = given.LEASEHOLD_MODE === 'production' ? productionFaults(given, roles) : given.LEASEHOLD_MODE === 'dev' ? devFaults(given) : []
  return [...generalFaults(given, env), ...ofMode]
}
