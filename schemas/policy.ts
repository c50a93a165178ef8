import { z } from 'zod'
import { IdentityId, OrganizationId, UserId, Uuid, VaultId } from './ids.ts'
import { moment, text } from './text.ts'

const policies = z
  .string()
  .min(1)
  .max(65_536)
  .refine((value) => value.isWellFormed() && !value.includes('\u0000'), { error: 'must be text' })
  .meta({ description: 'Cedar policies. `@id("…")` names one; `@obligation_ttl_seconds`, `_max_uses`, `_step_up`, `_max_age` of a permit oblige' })

/** A new version of the account's policies. It decides nothing until it is activated. */
export const CreatePolicySet = z.strictObject({ policies, comment: text(0, 500).nullable().optional() })
export type CreatePolicySet = z.infer<typeof CreatePolicySet>

export const PolicySet = z.object({
  id: Uuid,
  version: z.number().int(),
  policies: z.string(),
  comment: z.string().nullable(),
  inForce: z.boolean(),
  createdBy: UserId,
  createdAt: moment,
  activatedAt: moment.nullable(),
})
export type PolicySet = z.infer<typeof PolicySet>

/** A question that is asked for the sake of the answer: nothing happens, nobody is let in. */
export const PolicyQuestion = z.strictObject({
  policies: policies.optional().meta({ description: 'Policies to try; absent: those of `version`, else those in force' }),
  version: z.number().int().min(1).max(2_147_483_647).optional(),
  userId: UserId.meta({ description: 'Who would ask' }),
  action: z.string().max(100).meta({ description: 'An action of the API: `x-leasehold-action` of its OpenAPI document' }),
  identityId: IdentityId.optional(),
  identityGroupId: VaultId.optional(),
  organizationId: OrganizationId.optional(),
  acr: z.string().max(64).optional(),
  loginAgeSeconds: z.number().int().min(0).max(2_147_483_647).optional(),
  senderConstrained: z.boolean().default(true),
  ip: z.union([z.ipv4(), z.ipv6()]).optional(),
  minutes: z.number().int().min(1).max(1_440).optional(),
  now: moment.optional(),
})
export type PolicyQuestion = z.infer<typeof PolicyQuestion>

export const PolicyAnswer = z.object({
  decision: z.enum(['permit', 'deny']),
  decidedBy: z.enum(['permission', 'grant', 'policy']).meta({ description: 'What came first: permissions and grants are asked before policies' }),
  missing: z.string().nullable(),
  policies: z.array(z.string()).meta({ description: 'Ids of the policies that it follows from' }),
  obligations: z.array(z.object({ type: z.string(), value: z.string() })),
})
export type PolicyAnswer = z.infer<typeof PolicyAnswer>
