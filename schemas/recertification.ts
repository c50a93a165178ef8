import { z } from 'zod'
import { PrincipalRef } from './grant.ts'
import { OrganizationId, RecertificationId, UserId, Uuid, VaultId } from './ids.ts'
import { Notice } from './notice.ts'
import { PageQuery } from './page.ts'
import { longestRecertification, shortestRecertification } from './rules/recertification.ts'
import { moment, name, text } from './text.ts'

export const RecertificationState = z.enum(['open', 'ended', 'cancelled'])
export type RecertificationState = z.infer<typeof RecertificationState>

export const ItemDecision = z.enum(['open', 'keep', 'remove', 'refused', 'gone']).meta({
  description: '`refused`: silence would have removed it, and the account would have been left without an owner; `gone`: it had ended otherwise before',
})
export type ItemDecision = z.infer<typeof ItemDecision>

const onSilence = z.enum(['remove', 'keep']).meta({ description: 'What becomes of access that nobody has decided about at the end' })
const distinct = <Item>(keyOf: (item: Item) => string) =>
  [(list: readonly Item[]) => new Set(list.map(keyOf)).size === list.length, { error: 'must name each once' }] as const

/** Reviewers look at who has which access, until a day. */
export const CreateRecertification = z
  .strictObject({
    name,
    organizationId: OrganizationId,
    vaultIds: z
      .array(VaultId)
      .min(1)
      .max(200)
      .refine(...distinct<string>((id) => id))
      .meta({ uniqueItems: true })
      .nullable()
      .optional()
      .meta({ description: 'Whose grants are looked at; null: of all vaults of the organization' }),
    reviewers: z
      .array(PrincipalRef)
      .min(1)
      .max(50)
      .refine(...distinct<PrincipalRef>(({ type, id }) => `${type} ${id}`))
      .meta({ uniqueItems: true }),
    dueAt: moment.meta({ description: `${shortestRecertification / 3_600_000} hour to ${longestRecertification / 86_400_000} days ahead` }),
    onSilence,
    reason: text(1, 500),
  })
  .meta({
    examples: [
      {
        name: 'Production, fourth quarter',
        organizationId: '01980000-0000-7000-8000-000000000001',
        reviewers: [{ type: 'group', id: '01980000-0000-7000-8000-000000000005' }],
        dueAt: '2099-12-31T23:59:59Z',
        onSilence: 'remove',
        reason: 'Quarterly review of access, control A.5.18',
      },
    ],
  })
export type CreateRecertification = z.infer<typeof CreateRecertification>

const named = z.strictObject({ ...PrincipalRef.shape, name: z.string() })
const person = z.strictObject({ id: UserId, name: z.string().nullable() })

export const Recertification = z.strictObject({
  id: RecertificationId,
  name: z.string(),
  organizationId: OrganizationId,
  vaultIds: z.array(VaultId).nullable(),
  reviewers: z.array(named),
  dueAt: moment,
  onSilence,
  reason: z.string(),
  state: RecertificationState,
  startedBy: person,
  openedAt: moment,
  closedAt: moment.nullable(),
  counts: z.strictObject({ open: z.int(), keep: z.int(), remove: z.int(), refused: z.int(), gone: z.int() }),
  mayDecide: z.boolean().meta({ description: 'Whether the caller is a reviewer, and it is not over' }),
})
export type Recertification = z.infer<typeof Recertification>

export const RecertificationItem = z.strictObject({
  id: Uuid,
  kind: z.enum(['grant', 'role']),
  grantId: Uuid.nullable(),
  identityGroupId: VaultId.nullable().meta({ description: 'Of a grant: the vault' }),
  level: z.enum(['view_vault', 'view_credentials', 'checkout']).nullable(),
  assignmentId: Uuid.nullable(),
  roleId: Uuid.nullable(),
  organizationId: OrganizationId.nullable().meta({ description: 'Of a role: where it holds; null: in the whole account' }),
  what: z.string().meta({ description: 'Name of the vault or role when the recertification began' }),
  principal: named.meta({ description: 'Who has it, by the name of then' }),
  since: moment,
  until: moment.nullable(),
  grantedBy: person.nullable(),
  lastUsedAt: moment.nullable().meta({
    description:
      'When the recertification began: of a grant the last time that one of those who have it got or kept a value there, of a role the last thing they did; null: never',
  }),
  decision: ItemDecision,
  decider: z.enum(['reviewer', 'silence']).nullable(),
  decidedBy: person.nullable(),
  decidedAt: moment.nullable(),
  comment: z.string().nullable(),
  mayDecide: z.boolean().meta({ description: 'Whether the caller may decide about it now' }),
})
export type RecertificationItem = z.infer<typeof RecertificationItem>

export const RecertificationQuery = PageQuery.extend({ state: RecertificationState.optional(), organizationId: OrganizationId.optional() })
export const RecertificationItemQuery = PageQuery.extend({ decision: ItemDecision.optional() })

export const DecideItem = z
  .strictObject({ decision: z.enum(['keep', 'remove']), comment: text(10, 500).meta({ description: 'Why; it stands in the evidence' }) })
  .meta({ examples: [{ decision: 'remove', comment: 'Has left the team in October' }] })
export type DecideItem = z.infer<typeof DecideItem>

/** What auditors ask of a recertification. Nothing in it is a value. */
export const RecertificationEvidence = z.strictObject({
  recertification: Recertification,
  reviewers: z.array(z.strictObject({ ...person.shape, email: z.string().nullable() })).meta({ description: 'The people who may decide by now' }),
  items: z.array(
    z.strictObject({
      ...RecertificationItem.omit({ mayDecide: true }).shape,
      effect: z.enum(['none', 'stays', 'ended', 'ended-before']),
      endedAt: moment.nullable().meta({ description: 'Since when the access is no more, whoever ended it' }),
    }),
  ),
  told: z.array(Notice),
  events: z.array(
    z.strictObject({
      id: Uuid,
      at: moment,
      action: z.string(),
      outcome: z.string(),
      actor: z.strictObject({ kind: z.string(), id: z.string().nullable(), sub: z.string().nullable() }),
      detail: z.record(z.string(), z.unknown()).nullable(),
    }),
  ),
})
export type RecertificationEvidence = z.infer<typeof RecertificationEvidence>
