import { z } from 'zod'
import { ChannelId, OrganizationId } from './ids.ts'
import { NoticeKind, NoticeSeverity } from './notice.ts'
import { moment, name, text } from './text.ts'

export const ChannelType = z.enum(['smtp', 'webhook', 'slack', 'nats'])
export type ChannelType = z.infer<typeof ChannelType>

const url = text(1, 2_000)
const mailbox = z.email().max(254)
/** A NATS subject that one may publish to: tokens without wildcards. */
const natsSubject = text(1, 200).refine((value) => /^[\w-]+(\.[\w-]+)*$/.test(value), { error: 'must be tokens of letters, digits, _ and -, joined by dots' })

const ChannelSettings = z.strictObject({
  url: url.optional().meta({
    description:
      'webhook, slack: https URL, shown without its path afterwards. smtp: smtps://host:port, or smtp:// for STARTTLS; absent: the mail server of the installation. nats: tls://host:port',
  }),
  from: mailbox.optional().meta({ description: 'smtp: sender' }),
  to: z.array(mailbox).min(1).max(20).optional().meta({ description: 'smtp: these addresses in place of those of the people' }),
  username: text(1, 200).optional().meta({ description: 'smtp, nats' }),
  password: text(1, 1_000).optional().meta({ description: 'smtp, nats; never shown again' }),
  subject: natsSubject.optional().meta({ description: 'nats: subject to publish to' }),
})
export type ChannelSettings = z.infer<typeof ChannelSettings>

/** Which settings belong to which type, which it cannot do without, and what its URL may begin with: sent in the clear in dev mode only. */
const settingsOf = {
  smtp: { from: 'optional', to: 'optional', url: 'optional', username: 'optional', password: 'optional' },
  webhook: { url: 'required' },
  slack: { url: 'required' },
  nats: { url: 'required', subject: 'required', username: 'optional', password: 'optional' },
} as const satisfies Readonly<Record<ChannelType, { readonly [Name in keyof ChannelSettings]?: 'required' | 'optional' }>>

const protocolsOf: Readonly<Record<ChannelType, { readonly always: readonly string[]; readonly dev: readonly string[] }>> = {
  // STARTTLS is demanded outside of dev mode.
  smtp: { always: ['smtps:', 'smtp:'], dev: [] },
  webhook: { always: ['https:'], dev: ['http:'] },
  slack: { always: ['https:'], dev: ['http:'] },
  nats: { always: ['tls:'], dev: ['nats:'] },
}

/** What is wrong with well-formed settings of this type. */
export function settingFaults(type: ChannelType, settings: ChannelSettings, mode: 'dev' | 'production'): { path: string; message: string }[] {
  const given: Readonly<Record<string, unknown>> = settings
  const known: Readonly<Record<string, string>> = settingsOf[type]
  const missing = Object.keys(known).filter((key) => known[key] === 'required' && given[key] === undefined)
  const foreign = Object.keys(given).filter((key) => given[key] !== undefined && known[key] === undefined)
  return [
    ...missing.map((key) => ({ path: `settings.${key}`, message: `must be given for a channel of type ${type}` })),
    ...foreign.map((key) => ({ path: `settings.${key}`, message: `is no setting of a channel of type ${type}` })),
    // The installation's own mail server sends in its own name: an account must not speak as another one.
    ...(settings.from === undefined || settings.url !== undefined ? [] : [{ path: 'settings.from', message: 'needs a mail server of your own: url' }]),
    ...(settings.url === undefined ? [] : urlFaults(type, settings.url, mode)),
    ...((settings.username === undefined) === (settings.password === undefined)
      ? []
      : [{ path: 'settings.password', message: 'a user and a password come together' }]),
  ]
}

function urlFaults(type: ChannelType, value: string, mode: 'dev' | 'production'): { path: string; message: string }[] {
  const { always, dev } = protocolsOf[type]
  const allowed = mode === 'dev' ? [...always, ...dev] : always
  const fault = (message: string) => [{ path: 'settings.url', message }]
  if (!URL.canParse(value)) return fault('must be a URL')
  const { protocol, hostname, username, password } = new URL(value)
  if (!allowed.includes(protocol) || hostname === '') return fault(`must be a URL with ${allowed.join(' or ')}`)
  if (username !== '' || password !== '') return fault('must not hold a user or a password')
  return []
}

const Routing = {
  name,
  minimumSeverity: NoticeSeverity.meta({ description: 'Less than that is not sent here; critical always is' }),
  kinds: z
    .array(NoticeKind)
    .min(1)
    .max(50)
    .nullable()
    .meta({ description: 'Only these kinds; null: every kind. Critical notices are sent whatever their kind' }),
}

export const CreateNotificationChannel = z
  .strictObject({
    organizationId: OrganizationId.nullable().default(null).meta({ description: 'null: notices of the whole account' }),
    name: Routing.name,
    type: ChannelType,
    minimumSeverity: Routing.minimumSeverity.default('info'),
    kinds: Routing.kinds.default(null),
    settings: ChannelSettings,
  })
  .meta({ examples: [{ name: 'On call', type: 'webhook', minimumSeverity: 'warning', settings: { url: 'https://hooks.example.com/leasehold' } }] })
export type CreateNotificationChannel = z.infer<typeof CreateNotificationChannel>

/** Where a channel leads never changes: somewhere else is another channel, with another secret. */
export const ChangeNotificationChannel = z.strictObject(Routing).partial()
export type ChangeNotificationChannel = z.infer<typeof ChangeNotificationChannel>

export const NotificationChannel = z.object({
  id: ChannelId,
  organizationId: OrganizationId.nullable(),
  name: z.string(),
  type: ChannelType,
  minimumSeverity: NoticeSeverity,
  kinds: z.array(NoticeKind).nullable(),
  settings: ChannelSettings.omit({ password: true }),
  state: z.enum(['working', 'failing', 'dead']).meta({ description: 'dead: nothing got through for a while, and people were told' }),
  failingSince: moment.nullable(),
  version: z.number().int(),
  createdAt: moment,
})
export type NotificationChannel = z.infer<typeof NotificationChannel>

export const CreatedNotificationChannel = NotificationChannel.extend({
  secret: z
    .string()
    .nullable()
    .meta({ description: 'webhook: the signing secret (Standard Webhooks), shown this once; null for other types, and when the same request is repeated' }),
})
export type CreatedNotificationChannel = z.infer<typeof CreatedNotificationChannel>

export const ChannelTest = z.strictObject({
  noticeId: z.string().meta({ description: 'Id of the message that was sent' }),
  delivered: z.boolean(),
  receipt: z.string().meta({ description: 'What the receiver answered, or the class of the failure' }),
})
