import { z } from 'zod'
import { UserId, Uuid } from './ids.ts'
import { moment, name } from './text.ts'

/** A person of the identity provider, known by email until the first login and by (iss, sub) from then on. */
export const CreateIdpUser = z.strictObject({
  email: z.email().max(254).meta({ description: 'Whoever logs in first with this address, verified by the provider, is linked to the record for good' }),
  name: name.nullable().optional(),
})
export type CreateIdpUser = z.infer<typeof CreateIdpUser>

/** The address stays: another one would hand what was granted to another person. */
export const ChangeIdpUser = z.strictObject({ name: name.nullable(), state: z.enum(['active', 'disabled']) }).partial()
export type ChangeIdpUser = z.infer<typeof ChangeIdpUser>

export const IdpUser = z.object({
  id: Uuid,
  email: z.string(),
  name: z.string().nullable(),
  state: z.enum(['active', 'disabled']),
  userId: UserId.nullable().meta({ description: 'The user that is linked; null: nobody has logged in yet' }),
  linkedAt: moment.nullable(),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type IdpUser = z.infer<typeof IdpUser>

const source = z.enum(['api', 'claims']).meta({
  description: 'Who decides on members: api: this API; claims: the groups claim of a member’s newest access token',
})

export const CreateIdpGroup = z.strictObject({ name, source: source.default('api') })
export type CreateIdpGroup = z.infer<typeof CreateIdpGroup>

export const ChangeIdpGroup = z.strictObject({ name }).partial()
export type ChangeIdpGroup = z.infer<typeof ChangeIdpGroup>

export const IdpGroup = z.object({
  id: Uuid,
  name: z.string(),
  source,
  members: z.number().int(),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type IdpGroup = z.infer<typeof IdpGroup>

export const Member = z.object({ id: Uuid, idpUserId: Uuid, email: z.string(), name: z.string().nullable(), since: moment })
export type Member = z.infer<typeof Member>
