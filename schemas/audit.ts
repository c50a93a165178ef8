import { z } from 'zod'
import { AccessRequestId, AccountId, ConnectorId, HostId, IdentityId, LeaseId, OrganizationId, RotationId, Uuid, VaultId } from './ids.ts'
import { PageQuery } from './page.ts'
import { moment, text } from './text.ts'

const id = Uuid.nullable()
const word = z.string().nullable()

/** One event of the audit log, as auditors read it. */
export const AuditEvent = z.strictObject({
  id: Uuid,
  time: z.iso.datetime(),
  account: AccountId,
  actor: z.strictObject({ kind: z.enum(['user', 'client', 'connector', 'workflow', 'system']), id: word, iss: word, sub: word }),
  action: z.string(),
  purpose: word,
  effect: z.enum(['permit', 'deny']),
  outcome: z.string().meta({ description: '`success`, an end cause, or a code of the error table' }),
  organizationId: id,
  vaultId: id,
  identityId: id,
  hostId: id,
  userId: id.meta({ description: 'The user concerned, where that is not the actor' }),
  leaseId: id,
  rotationId: id,
  sessionId: id,
  requestId: id,
  connectorId: id,
  reason: word,
  requestedMinutes: z.int().nullable(),
  expiresAt: z.iso.datetime().nullable(),
  breakGlass: z.boolean(),
  decisionId: id,
  correlationId: word,
  traceId: word,
  ip: word,
  userAgent: word,
  resourceRef: word,
  detail: z.record(z.string(), z.unknown()).nullable(),
})
export type AuditEvent = z.infer<typeof AuditEvent>

export const AuditQuery = PageQuery.extend({
  action: text(1, 100).optional(),
  effect: z.enum(['permit', 'deny']).optional(),
  actorId: text(1, 200).optional(),
  organizationId: OrganizationId.optional(),
  vaultId: VaultId.optional(),
  identityId: IdentityId.optional(),
  hostId: HostId.optional(),
  leaseId: LeaseId.optional(),
  rotationId: RotationId.optional(),
  requestId: AccessRequestId.optional(),
  connectorId: ConnectorId.optional(),
  correlationId: text(1, 128).optional(),
  from: moment.optional().meta({ description: 'Not before' }),
  to: moment.optional().meta({ description: 'Before' }),
})
