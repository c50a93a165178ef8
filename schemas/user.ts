import { z } from 'zod'
import { UserId } from './ids.ts'
import { moment, name } from './text.ts'

/** A person or client who can log in; (iss, sub) identifies them and nothing else does. */
export const User = z.object({
  id: UserId,
  iss: z.string(),
  sub: z.string(),
  name: z.string().nullable(),
  email: z.string().nullable(),
  owner: z.boolean().meta({ description: 'Account owners hold every permission' }),
  state: z.enum(['active', 'disabled']).meta({ description: 'disabled: every request is refused from the next one on, and open leases end' }),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type User = z.infer<typeof User>

/** Lets somebody in before their first login, above all a client that has no email. */
export const CreateUser = z.strictObject({
  sub: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .meta({ description: 'The `sub` of their access tokens at the configured issuer' }),
  name: name.nullable().optional(),
})
export type CreateUser = z.infer<typeof CreateUser>

export const ChangeUser = z.strictObject({ state: User.shape.state })
export type ChangeUser = z.infer<typeof ChangeUser>
