import { z } from 'zod'
import { AccountId, Uuid } from './ids.ts'
import { PageQuery } from './page.ts'

export const DutyKind = z.enum([
  'lease',
  'rotation',
  'offer',
  'connector',
  'vault_access',
  'user_access',
  'reencryption',
  'notification',
  'break_glass_review',
  'access_request',
  'support_access',
  'rotation_campaign',
  'recertification',
])
export type DutyKind = z.infer<typeof DutyKind>
export const DutyState = z.enum(['owed', 'quarantined'])

const moment = z.iso.datetime()

/** What must still be told to a workflow or a connector because of a committed fact. */
export const Duty = z.strictObject({
  kind: DutyKind,
  subjectId: Uuid.meta({ description: 'Id of the lease, rotation, job, connector, access request or campaign' }),
  account: AccountId,
  state: DutyState.meta({ description: '`quarantined` after 20 failures: nothing happens until somebody retries it' }),
  dueSince: moment,
  attempts: z.int().meta({ description: 'Failed deliveries' }),
  nextAt: moment.nullable().meta({ description: 'Of the next delivery; null: quarantined' }),
  quarantinedAt: moment.nullable(),
  lastError: z.string().nullable().meta({ description: 'Class of the last failure' }),
})
export type Duty = z.infer<typeof Duty>

export const DutyQuery = PageQuery.extend({ kind: DutyKind.optional(), state: DutyState.optional() })

export const DutyAnswer = z.strictObject({ duty: Duty })
export const ReconcileAnswer = z.strictObject({ reopened: z.int().meta({ description: 'Subjects that are told once more to look' }) })
