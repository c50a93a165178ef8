import { z } from 'zod'
import { Uuid } from './ids.ts'

export const NoticeSeverity = z.enum(['info', 'warning', 'critical'])
export type NoticeSeverity = z.infer<typeof NoticeSeverity>

/** What people are told about, as `noun.verb`. */
export const NoticeKind = z.enum([
  'break_glass.opened',
  'break_glass.ended',
  'break_glass.review_due',
  'break_glass.credential_refused',
  'access_request.opened',
  'access_request.escalated',
  'access_request.approved',
  'access_request.denied',
  'access_request.expired',
  'support_access.enabled',
  'support_access.changed',
  'support_access.ended',
  'support_access.reminder',
  'support_access.emergency_disabled',
  'host.drifted',
  'rotation.stuck',
  'rotation.needs_attention',
  'channel.dead',
])
export type NoticeKind = z.infer<typeof NoticeKind>

export const NoticeSubject = z.strictObject({
  type: z.enum(['lease', 'access_request', 'support_access', 'rotation', 'identity', 'user', 'channel']),
  id: Uuid,
})
export type NoticeSubject = z.infer<typeof NoticeSubject>
