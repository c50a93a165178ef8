import { z } from 'zod'

export const characterClasses = ['lower', 'upper', 'digit', 'symbol'] as const
export type CharacterClass = (typeof characterClasses)[number]

/** What generated passwords look like. Every class that is named occurs at least once. */
export const PasswordPolicy = z.strictObject({
  length: z.number().int().min(12).max(256).meta({ description: 'Characters' }),
  classes: z.array(z.enum(characterClasses)).min(2).max(4).refine((classes) => new Set(classes).size === classes.length, { error: 'must name each class once' }),
  forbidden: z.string().max(64).refine((characters) => /^[\x21-\x7e]*$/.test(characters), { error: 'must be visible ASCII characters' }).optional()
    .meta({ description: 'Characters that never occur' }),
})
export type PasswordPolicy = z.infer<typeof PasswordPolicy>
