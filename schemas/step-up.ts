import { z } from 'zod'

/** Kinds of actions that may need a stronger or fresher login than the caller has (RFC 9470). */
export const stepUpClasses = ['checkout', 'reveal', 'session', 'break_glass', 'admin'] as const
export type StepUpClass = (typeof stepUpClasses)[number]

export const StepUpRule = z.strictObject({
  acr: z
    .string()
    .regex(/^[\w.:/-]{1,64}$/)
    .nullable()
    .meta({ description: 'Weakest authentication context that is enough; null: any' }),
  maxAgeSeconds: z.number().int().min(30).max(86_400).nullable().meta({ description: 'How long ago the login may be; null: any time' }),
})
export type StepUpRule = z.infer<typeof StepUpRule>

/** What an organization asks for. A kind that is absent or null has the default of the installation. */
export const ChangeStepUp = z.strictObject(Object.fromEntries(stepUpClasses.map((name) => [name, StepUpRule.nullable().optional()])) as StepUpShape)
type StepUpShape = Record<StepUpClass, z.ZodOptional<z.ZodNullable<typeof StepUpRule>>>
export type ChangeStepUp = z.infer<typeof ChangeStepUp>

export const StepUp = z.object(
  Object.fromEntries(stepUpClasses.map((name) => [name, StepUpRule.extend({ source: z.enum(['default', 'organization']) })])) as Record<
    StepUpClass,
    z.ZodObject<typeof StepUpRule.shape & { source: z.ZodEnum<{ default: 'default'; organization: 'organization' }> }>
  >,
)
export type StepUp = z.infer<typeof StepUp>

export type StepUpRules = Readonly<Record<StepUpClass, StepUpRule>>
