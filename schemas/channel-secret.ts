import { z } from 'zod'
import type { ChannelSettings, ChannelType } from './notification-channel.ts'

/** What of a channel is sealed, as JSON. */
export const ChannelSecret = z.strictObject({
  /** webhook, slack: their paths and queries are as good as passwords. */
  url: z.string().optional(),
  password: z.string().optional(),
  /** webhook: `whsec_` and base64. */
  signingSecret: z.string().optional(),
})
export type ChannelSecret = z.infer<typeof ChannelSecret>

/** Parts what may be shown from what must not. @param signingSecret of a webhook */
export function splitSettings(
  type: ChannelType,
  { password, ...settings }: ChannelSettings,
  signingSecret: string,
): { readonly shown: ChannelSettings; readonly secret: ChannelSecret } {
  const { url } = settings
  if (url === undefined || (type !== 'webhook' && type !== 'slack')) return { shown: settings, secret: password === undefined ? {} : { password } }
  return { shown: { ...settings, url: new URL(url).origin }, secret: { url, ...(type === 'webhook' ? { signingSecret } : {}) } }
}
