import { z } from 'zod'
import { HostId, IdentityId, JobId, OrganizationId, RotationId, UserId, VaultId } from './ids.ts'
import { PageQuery } from './page.ts'
import { text } from './text.ts'

const RotationState = z.enum(['pending', 'confirmed', 'failed', 'cancelled'])
const JobState = z.enum(['waiting', 'claimed', 'doubt', 'confirmed', 'failed', 'cancelled'])

export const RotateBody = z.strictObject({
  vaultOnly: z.boolean().optional().meta({ description: 'For an identity without hosts: a person sets the new value on the target' }),
})

export const Wait = z.strictObject({
  hostId: HostId.nullable(),
  cause: z.enum(['person', 'connector-revoked', 'connector-offline', 'lease', 'connector', 'probe', 'worker', 'target', 'offer']).meta({
    description:
      'person: somebody must say what the target has; lease: somebody holds the account; connector: it works on it; probe: nobody knows, ' +
      'it is being found out; worker: the value is being made; target: the last attempt failed (see reason of the host); offer: no connector took it yet',
  }),
  since: z.iso.datetime().nullable(),
  until: z.iso.datetime().nullable().meta({ description: 'lease: its end; connector: when it is given up; probe and target: the next attempt' }),
  userId: UserId.nullable().meta({ description: 'lease: who holds it' }),
})

export const Rotation = z.strictObject({
  id: RotationId,
  organizationId: OrganizationId,
  identityGroupId: VaultId,
  identityId: IdentityId,
  trigger: z.enum(['manual', 'scheduled', 'after_use', 'break_glass', 'access_loss', 'campaign', 'drift', 'enroll']),
  state: RotationState,
  phase: z.enum(['queued', 'staged', 'waiting', 'applying', 'in_doubt', 'done']),
  needsAttention: z.boolean(),
  reason: z.string().nullable().meta({ description: 'Class of the failure' }),
  requestedBy: UserId.nullable(),
  dueAt: z.iso.datetime().nullable(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime().nullable(),
  version: z.int(),
  stuckSince: z.iso.datetime().nullable().meta({ description: 'When it had been pending for longer than its organization allows; null: it is not' }),
  waitsFor: z.array(Wait).meta({ description: 'While it is pending: why it is not over, one line for each host that is not done' }),
  hosts: z.array(
    z.strictObject({
      hostId: HostId,
      jobId: JobId.nullable(),
      state: JobState,
      attempts: z.int(),
      reason: z.string().nullable(),
      knownVersion: z.int().nullable().meta({ description: 'The version that this host is known to have' }),
    }),
  ),
})
export type Rotation = z.infer<typeof Rotation>

/** What a person found out about a rotation that needs attention. */
export const ResolveBody = z.strictObject({
  outcome: z.enum(['applied', 'not_applied']).meta({ description: 'Whether the new value is the one that works on the target' }),
  hostId: HostId.optional().meta({ description: 'The host that was looked at; absent: every host in doubt' }),
  reason: text(1, 500),
})

const value = z.strictObject({ version: z.int(), value: z.string().meta({ format: 'password' }) })
/** Every value that may be the one that works: the present one of each host, and the new one. */
export const RotationCredentials = z.strictObject({ username: z.string(), current: z.array(value), staged: value })

export const RotationAnswer = z.strictObject({ rotation: Rotation })
/** A rotation as an item, and once more as the verb answers it: what reads the one answer reads the other. */
export const RotationItem = Rotation.extend({ rotation: Rotation })
/** One event of the stream (HTML Living Standard 9.2). */
export const RotationEvents = z
  .object({
    event: z.literal('rotation'),
    id: z.string().meta({ description: 'Version of the rotation' }),
    data: z.string().meta({ description: 'The rotation', contentMediaType: 'application/json', contentSchema: z.toJSONSchema(Rotation) }),
  })
  .meta({ mediaType: 'text/event-stream', description: 'Each event: the rotation at every change, the last one when it is final' })

const flag = z.enum(['true', 'false']).transform((value) => value === 'true')

export const RotationQuery = PageQuery.extend({
  identityId: IdentityId.optional(),
  identityGroupId: VaultId.optional(),
  state: RotationState.optional(),
  needsAttention: flag.optional(),
  stuck: flag.optional().meta({ description: 'Pending for longer than the organization allows, or not' }),
})
