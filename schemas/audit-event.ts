import type { AccessRequestId, ConnectorId, HostId, IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from './ids.ts'
import type { Sealed } from './sealed.ts'

/** Who did it. */
export interface Actor {
  readonly kind: 'user' | 'client' | 'connector' | 'workflow' | 'system'
  /** User or connector id, workflow id, or the name of a loop. */
  readonly id: string | null
  readonly iss?: string | undefined
  readonly sub?: string | undefined
  readonly ip?: string | undefined
  readonly userAgent?: string | undefined
  readonly correlationId?: string | undefined
  readonly traceId?: string | undefined
  /** The decision by which they act. */
  readonly decisionId?: string | undefined
}

/** One line of the audit log, written in the transaction of the fact that it proves. Holds no secret and no free text in clear. */
export interface AuditEntry {
  readonly actor: Actor
  /** `noun.verb`, e.g. `lease.granted`. */
  readonly action: string
  readonly effect: 'permit' | 'deny'
  /** `success`, or the code of the error table. */
  readonly outcome: string
  readonly purpose?: string
  readonly organizationId?: OrganizationId
  readonly vaultId?: VaultId
  readonly identityId?: IdentityId
  readonly hostId?: HostId | null
  /** The user concerned, where that is not the actor. */
  readonly userId?: UserId
  readonly leaseId?: LeaseId | null
  readonly rotationId?: RotationId | null
  readonly requestId?: AccessRequestId | null
  readonly connectorId?: ConnectorId
  readonly reason?: Sealed
  readonly requestedMinutes?: number
  readonly expiresAt?: Date
  readonly breakGlass?: boolean
  readonly decisionId?: string
  readonly resourceRef?: string
  /** Small facts: versions, states, codes. */
  readonly detail?: Readonly<Record<string, unknown>>
}
