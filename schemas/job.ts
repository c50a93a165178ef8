import { z } from 'zod'
import { ConnectorId, HostId, IdentityId, JobId, OrganizationId, RotationId, VaultId } from './ids.ts'
import { PageQuery } from './page.ts'

const JobState = z.enum(['waiting', 'claimed', 'doubt', 'confirmed', 'failed', 'cancelled'])
const moment = z.iso.datetime().nullable()

/** One line of the Jobs page (S2 "Troubleshooting"). */
export const Job = z.strictObject({
  id: JobId,
  organizationId: OrganizationId,
  identityGroupId: VaultId,
  identityId: IdentityId,
  rotationId: RotationId,
  hostId: HostId,
  connectorId: ConnectorId,
  kind: z.enum(['reset', 'probe']),
  state: JobState,
  epoch: z.int().meta({ description: 'Grows with every claim' }),
  attempts: z.int(),
  reason: z.string().nullable().meta({ description: 'Class of the last failure' }),
  nextAt: moment,
  offeredAt: moment,
  claimedAt: moment,
  claimedUntil: moment,
  doubtSince: moment,
  finishedAt: moment,
  createdAt: z.iso.datetime(),
})

export const JobQuery = PageQuery.extend({
  identityId: IdentityId.optional(),
  rotationId: RotationId.optional(),
  hostId: HostId.optional(),
  connectorId: ConnectorId.optional(),
  state: JobState.optional(),
})
