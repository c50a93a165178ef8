import { z } from 'zod'
import { OrganizationId, Uuid } from './ids.ts'
import { PageQuery } from './page.ts'
import { moment } from './text.ts'

export const NoticeSeverity = z.enum(['info', 'warning', 'critical'])
export type NoticeSeverity = z.infer<typeof NoticeSeverity>

/** What people are told about, as `noun.verb`. */
export const NoticeKind = z.enum([
  'break_glass.opened',
  'break_glass.ended',
  'break_glass.review_due',
  'break_glass.credential_refused',
  'break_glass.credential_changed',
  'break_glass.logged_in',
  'lease.ends_early',
  'access_request.opened',
  'access_request.escalated',
  'access_request.approved',
  'access_request.denied',
  'access_request.expired',
  'approval_policy.changed',
  'support_access.enabled',
  'support_access.changed',
  'support_access.ended',
  'support_access.reminder',
  'support_access.emergency_disabled',
  'recertification.opened',
  'recertification.reminder',
  'recertification.ended',
  'recertification.cancelled',
  'host.drifted',
  'credential.drifted',
  'rotation.stuck',
  'rotation.needs_attention',
  'rotation_campaign.ended',
  'channel.dead',
  'channel.test',
])
export type NoticeKind = z.infer<typeof NoticeKind>

export const NoticeSubject = z.strictObject({
  type: z.enum([
    'lease',
    'access_request',
    'approval_policy',
    'support_access',
    'recertification',
    'rotation',
    'rotation_campaign',
    'identity',
    'user',
    'channel',
  ]),
  id: Uuid,
})
export type NoticeSubject = z.infer<typeof NoticeSubject>

export const DeliveryState = z.enum(['pending', 'delivered', 'failed', 'skipped'])
export type DeliveryState = z.infer<typeof DeliveryState>

/** One message that a notice became: on one channel, to one address. */
const NoticeDelivery = z.strictObject({
  id: Uuid,
  channelId: Uuid.nullable().meta({ description: 'null: the mail of the installation' }),
  channelName: z.string().nullable(),
  userId: Uuid.nullable().meta({ description: 'Whose mail it is; null: a listed address, or no mail' }),
  address: z.string().nullable().meta({ description: 'A listed address of a mail channel' }),
  state: DeliveryState.meta({ description: '`failed`: given up; `skipped`: there was nothing to send it by' }),
  attempts: z.int(),
  nextAt: moment.nullable(),
  deliveredAt: moment.nullable(),
  receipt: z.string().nullable().meta({ description: 'Answer to the last attempt, e.g. `smtp 250`, `http 503`, `ECONNREFUSED`' }),
})
export type NoticeDelivery = z.infer<typeof NoticeDelivery>

/** What people are told, with where it went. Whoever is no administrator sees the deliveries to themselves. */
export const Notice = z.strictObject({
  id: Uuid.meta({ description: 'Also the Message-ID of mails and the webhook-id' }),
  kind: NoticeKind,
  severity: NoticeSeverity,
  title: z.string(),
  organizationId: OrganizationId.nullable(),
  subject: NoticeSubject,
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  recipientIds: z.array(Uuid),
  deliveries: z.array(NoticeDelivery),
  createdAt: moment,
})
export type Notice = z.infer<typeof Notice>

export const NoticeQuery = PageQuery.extend({
  kind: NoticeKind.optional(),
  severity: NoticeSeverity.optional(),
  subjectId: Uuid.optional(),
})
export type NoticeQuery = z.infer<typeof NoticeQuery>
