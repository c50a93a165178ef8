import { z } from 'zod'
import { HttpCalls } from './http-calls.ts'
import { ConnectorId, HostId, IdentityId, OrganizationId, VaultId } from './ids.ts'
import { HostKeys } from './ssh-host-key.ts'
import { AuthorizedKeysFile } from './authorized-keys-file.ts'
import { moment, name, text } from './text.ts'

/** A host name (RFC 1123) or an IP address; the connector resolves and dials it from its own network. */
const address = z
  .string()
  .max(253)
  .refine(
    (value) =>
      z.ipv4().safeParse(value).success ||
      z.ipv6().safeParse(value).success ||
      (/^(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*$/.test(value) && !/^[\d.]+$/.test(value)),
    { error: 'must be a host name or an IP address' },
  )

const adapters = ['postgres', 'ssh', 'mysql', 'ldap', 'http'] as const

/** Whom to believe, never with a private key beside it. */
const certificates = text(1, 20_000).refine((value) => /^\s*(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+$/.test(value), {
  error: 'must be certificates in PEM and nothing else',
})

/** None of them is a secret: what is secret belongs into an identity. */

export const HostParameters = z.strictObject({
  database: text(1, 63).optional().meta({ description: 'postgres: database to log in to; default: postgres' }),
  hostKey: HostKeys.optional(),
  authorizedKeysFile: AuthorizedKeysFile.optional(),
  ca: certificates.optional().meta({ description: 'postgres, mysql, ldap, http: authorities that may vouch for the host; default: those that come with Node' }),
  accountHost: text(1, 255).optional().meta({ description: 'mysql: the host part of the accounts that are changed here; default: %' }),
  accountDn: text(1, 1_000)
    .refine((value) => value.split('{username}').length === 2, { error: 'must have {username} in it once' })
    .optional()
    .meta({ description: 'ldap: where accounts are, as uid={username},ou=people,dc=example,dc=org; default: a username is a DN itself' }),
  startTls: z.boolean().optional().meta({ description: 'ldap: begins in the clear and turns to TLS before anything is said; default: TLS from the start' }),
  calls: HttpCalls.optional(),
})
type HostParameters = z.infer<typeof HostParameters>

/** Which parameters belong to which adapter, and which it cannot do without. */
const parametersOf: Readonly<Record<(typeof adapters)[number], { readonly [Name in keyof HostParameters]?: 'required' | 'optional' }>> = {
  postgres: { database: 'optional', ca: 'optional' },
  ssh: { hostKey: 'required', authorizedKeysFile: 'optional' },
  mysql: { ca: 'optional', accountHost: 'optional' },
  ldap: { ca: 'optional', accountDn: 'optional', startTls: 'optional' },
  http: { calls: 'required', ca: 'optional' },
}

/** What is wrong with well-formed parameters on a host of this adapter. */
export function parameterFaults(adapter: keyof typeof parametersOf, parameters: HostParameters): { path: string; message: string }[] {
  const given: Readonly<Record<string, unknown>> = parameters
  const known: Readonly<Record<string, string>> = parametersOf[adapter]
  const missing = Object.keys(known).filter((key) => known[key] === 'required' && given[key] === undefined)
  const foreign = Object.keys(given).filter((key) => given[key] !== undefined && known[key] === undefined)
  return [
    ...missing.map((key) => ({ path: `parameters.${key}`, message: `must be given for the adapter ${adapter}` })),
    ...foreign.map((key) => ({ path: `parameters.${key}`, message: `is no parameter of the adapter ${adapter}` })),
  ]
}

/** An account of a host that is there already and comes into a vault (S2 "One-click PAM enrollment"). */
export const EnrollBody = z.strictObject({
  username: text(1, 255).refine((value) => !/[\t\n\r]/.test(value), { error: 'must be one line' }),
  identityGroupId: VaultId,
  name: name.optional().meta({ description: 'Absent: the user name at the name of the host' }),
})
export type EnrollBody = z.infer<typeof EnrollBody>

export const CreateHost = z
  .strictObject({
    organizationId: OrganizationId,
    name,
    address,
    port: z.number().int().min(1).max(65535),
    adapter: z.enum(adapters),
    connectorId: ConnectorId,
    adminIdentityId: IdentityId.nullable()
      .optional()
      .meta({ description: 'Identity that resets the others on this host; never one that is itself reset here' }),
    parameters: HostParameters.optional(),
  })
  .meta({
    examples: [
      {
        organizationId: '01980000-0000-7000-8000-000000000001',
        name: 'orders primary',
        address: 'db1.internal',
        port: 5432,
        adapter: 'postgres',
        connectorId: '01980000-0000-7000-8000-000000000004',
        parameters: { database: 'orders' },
      },
    ],
  })
export type CreateHost = z.infer<typeof CreateHost>

export const ChangeHost = CreateHost.omit({ organizationId: true, adapter: true }).partial()
export type ChangeHost = z.infer<typeof ChangeHost>

export const Host = z.object({
  ...CreateHost.shape,
  id: HostId,
  name: z.string(),
  address: z.string(),
  adminIdentityId: IdentityId.nullable(),
  parameters: HostParameters,
  connectorOnline: z.boolean(),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type Host = z.infer<typeof Host>
