import { z } from 'zod'
import { ConnectorId, HostId, IdentityId, OrganizationId } from './ids.ts'
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

/** Settings of the PostgreSQL adapter. */
export const PostgresParameters = z.strictObject({
  database: text(1, 63).optional().meta({ description: 'Database to log in to; default: postgres' }),
})

export const CreateHost = z.strictObject({
  organizationId: OrganizationId,
  name,
  address,
  port: z.number().int().min(1).max(65535),
  adapter: z.enum(['postgres']),
  connectorId: ConnectorId,
  adminIdentityId: IdentityId.nullable().optional().meta({ description: 'Identity that resets the others on this host; never one that is itself reset here' }),
  parameters: PostgresParameters.optional(),
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
  parameters: PostgresParameters,
  connectorOnline: z.boolean(),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type Host = z.infer<typeof Host>
