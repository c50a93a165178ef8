import { randomUUID } from 'node:crypto'
import type { Lookup } from '#activities/channels/names.ts'
import { reachable } from '#activities/channels/networks.ts'
import { createSend, type Send, type SendParts } from '#activities/channels/send.ts'
import { splitSettings } from '#schemas/channel-secret.ts'
import { AccountId } from '#schemas/ids.ts'
import type { ChannelSettings, ChannelType } from '#schemas/notification-channel.ts'
import { Secret } from '#schemas/secret.ts'
import { sealForAccount, type AccountKey } from '#secrets/account-key.ts'
import type { Claim, DeliveryTarget } from '#store/notice-delivery.ts'

export const accountId = AccountId.parse(randomUUID())
const key: AccountKey = { keyId: 'a1', accountId, material: Secret.of(Buffer.alloc(32, 7)) }
export const signingSecret = `whsec_${Buffer.alloc(32, 9).toString('base64')}`

/** A notice whose facts name somebody. */
export const notice = (fields: Partial<Claim['notice']> = {}): Claim['notice'] => ({
  id: randomUUID(),
  kind: 'break_glass.opened',
  severity: 'critical',
  organizationId: null,
  subject: { type: 'lease', id: randomUUID() },
  facts: {},
  names: {},
  createdAt: '2027-01-01T00:00:00.000Z',
  ...fields,
})

/** A channel as it comes from the database. */
export function channel(type: ChannelType, settings: ChannelSettings, address: string | null = null): DeliveryTarget {
  const id = randomUUID()
  const { shown, secret } = splitSettings(type, settings, signingSecret)
  const sealed = sealForAccount(key, { purpose: 'channel', id }, Secret.of(JSON.stringify(secret)))
  return { channel: { id, type, settings: shown, sealed }, address }
}

export function sender(networks: readonly string[], lookup?: Lookup, parts: Partial<SendParts> = {}): Send {
  const give = async () => key
  const reach = { mayReach: reachable(networks), ...(lookup === undefined ? {} : { lookup }) }
  return createSend({ accountKeys: { get: give, ensure: give }, reach, mail: undefined, plainAllowed: true, ...parts })
}
