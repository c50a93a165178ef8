import { z } from 'zod'
import { OrganizationId } from './ids.ts'
import { maximumMinutes } from './rules/lease.ts'
import { moment, name } from './text.ts'

const minutes = z.number().int().min(5).max(1440)
const maximumLeaseMinutes = minutes.nullable().meta({ description: 'Longest lease in minutes; null: 1440' })
const breakGlassMaximumMinutes = minutes.meta({ description: 'Longest break-glass lease in minutes' })
const breakGlassGraceMinutes = z
  .number()
  .int()
  .min(0)
  .max(maximumMinutes)
  .meta({ description: 'How long other holders of an identity keep it after a break-glass lease of it has ended' })
const breakGlassWithoutProvider = z.boolean().meta({
  description: 'While the identity provider is down, people log in for break-glass alone with their passphrase and a one-time code',
})

const rotationLimitMinutes = z
  .number()
  .int()
  .min(5)
  .max(43_200)
  .meta({ description: 'A rotation that is pending for longer is stuck: the admins are told, once; default: 1440' })

export const CreateOrganization = z
  .strictObject({
    name,
    maximumLeaseMinutes: maximumLeaseMinutes.optional(),
    breakGlassMaximumMinutes: breakGlassMaximumMinutes.optional(),
    breakGlassGraceMinutes: breakGlassGraceMinutes.optional(),
    rotationLimitMinutes: rotationLimitMinutes.optional(),
    breakGlassWithoutProvider: breakGlassWithoutProvider.optional(),
  })
  .meta({ examples: [{ name: 'Payments', maximumLeaseMinutes: 480 }] })
export type CreateOrganization = z.infer<typeof CreateOrganization>

export const ChangeOrganization = CreateOrganization.partial()
export type ChangeOrganization = z.infer<typeof ChangeOrganization>

export const Organization = z.object({
  id: OrganizationId,
  name: z.string(),
  maximumLeaseMinutes,
  breakGlassMaximumMinutes,
  breakGlassGraceMinutes,
  rotationLimitMinutes,
  breakGlassWithoutProvider,
  secretVersion: z.number().int().nullable().meta({ description: 'Newest version of the organization secret; null: none is set' }),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type Organization = z.infer<typeof Organization>

/** What may be known of an organization secret: everything but the secret, which never leaves OpenBao and our memory. */
export const OrganizationSecret = z.object({
  state: z.enum(['absent', 'set']),
  version: z.number().int().nullable().meta({ description: 'New values are encrypted under this version' }),
  reencryption: z
    .object({ state: z.enum(['running', 'done']), toVersion: z.number().int(), resealed: z.number().int(), failed: z.number().int() })
    .nullable()
    .meta({ description: 'How far the newest re-encryption is; failed: values that did not open and keep their key' }),
  versions: z.array(
    z.object({
      version: z.number().int(),
      createdAt: moment,
      credentials: z.number().int().meta({ description: 'Stored credential values that still need this version' }),
      texts: z
        .number()
        .int()
        .meta({ description: 'Reasons, comments, justifications and findings that still need this version; reasons in the audit log always keep theirs' }),
    }),
  ),
})
export type OrganizationSecret = z.infer<typeof OrganizationSecret>
