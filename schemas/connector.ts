import { z } from 'zod'
import { ConnectorId, OrganizationId } from './ids.ts'
import { moment, name } from './text.ts'

export const CreateConnector = z
  .strictObject({ organizationId: OrganizationId, name })
  .meta({ examples: [{ organizationId: '01980000-0000-7000-8000-000000000001', name: 'Frankfurt, network of the databases' }] })
export type CreateConnector = z.infer<typeof CreateConnector>

export const Connector = z.object({
  id: ConnectorId,
  organizationId: OrganizationId,
  name: z.string(),
  state: z.enum(['pending', 'joining', 'active', 'revoked']).meta({ description: 'pending: waits for its join token to be used' }),
  online: z.boolean().meta({ description: 'It said hello less than 30 seconds ago' }),
  lastSeenAt: moment.nullable(),
  build: z.string().nullable(),
  version: z.number().int(),
  createdAt: moment,
})
export type Connector = z.infer<typeof Connector>

/** Single use, lives 15 minutes, is shown once and stored as a hash. */
export const JoinToken = z.object({ joinToken: z.string(), joinTokenExpiresAt: moment })
export type JoinToken = z.infer<typeof JoinToken>

/** Both null when the same request is repeated after the connector has joined. */
export const CreatedConnector = Connector.extend({ joinToken: z.string().nullable(), joinTokenExpiresAt: moment.nullable() })
export type CreatedConnector = z.infer<typeof CreatedConnector>

export const ChangeConnector = z.strictObject({ name }).partial()
export type ChangeConnector = z.infer<typeof ChangeConnector>

/** What a connector shows on its first contact: the token and the public halves of the keys it made. */
export const JoinRequest = z.strictObject({
  token: z.string().max(200),
  nkey: z.string().regex(/^U[A-Z2-7]{55}$/, { error: 'must be the public key of a NATS user' }),
  encryptionJwk: z.strictObject({
    kty: z.literal('OKP'),
    crv: z.literal('X25519'),
    x: z.string().regex(/^[A-Za-z0-9_-]{43}$/, { error: 'must be 32 bytes as base64url' }),
    kid: z.string().regex(/^[\w-]{1,100}$/, { error: 'must be 1 to 100 letters, digits, - or _' }),
  }),
})
export type JoinRequest = z.infer<typeof JoinRequest>

/** The join is taken; the identity of the connector is not minted yet. */
export const JoinPending = z.strictObject({ connectorId: ConnectorId, organizationId: OrganizationId, state: z.literal('joining') })
