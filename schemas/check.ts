import { z } from 'zod'
import { ConnectorId, HostId, IdentityId, JobId, UserId } from './ids.ts'
import { moment } from './text.ts'

/** How an identity is on a host. */
export const Health = z.enum(['in_sync', 'drifted', 'unreachable', 'unknown'])

/** The last check of each host of an identity. */
export const Check = z.strictObject({
  identityId: IdentityId,
  state: z.enum(['pending', 'done']).meta({ description: 'done: nothing of it is under way' }),
  hosts: z.array(
    z.strictObject({
      hostId: HostId,
      jobId: JobId,
      connectorId: ConnectorId,
      state: z
        .enum(['waiting', 'claimed', 'done', 'cancelled'])
        .meta({ description: 'cancelled: a rotation or a change came first, or another host refused it' }),
      credentialVersion: z.int().meta({ description: 'The version that is tried' }),
      outcome: Health.nullable().meta({ description: 'unknown: connectors took it and never answered' }),
      reason: z.string().nullable().meta({ description: 'Class of what kept it from being in sync' }),
      requestedBy: UserId.nullable().meta({ description: 'null: the schedule' }),
      requestedAt: moment,
      finishedAt: moment.nullable(),
    }),
  ),
})
export type Check = z.infer<typeof Check>

export const CheckAnswer = z.strictObject({ check: Check })
