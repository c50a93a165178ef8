import { z } from 'zod'

export const characterClasses = ['lower', 'upper', 'digit', 'symbol'] as const
export type CharacterClass = (typeof characterClasses)[number]

const charactersOf: Readonly<Record<CharacterClass, string>> = {
  lower: 'abcdefghijklmnopqrstuvwxyz',
  upper: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
  digit: '0123456789',
  symbol: '!#$%&()*+,-./:;<=>?@[]^_{|}~',
}

/** A policy that leaves less than this many bits could be guessed offline from a stolen hash. */
const leastBits = 60

/** What a policy allows, one set of characters per class. */
export function allowedCharacters({
  classes,
  forbidden = '',
}: {
  readonly classes: readonly CharacterClass[]
  readonly forbidden?: string | undefined
}): string[][] {
  return classes.map((name) => [...charactersOf[name]].filter((character) => !forbidden.includes(character)))
}

/** What generated passwords look like. Every class that is named occurs at least once. */
export const PasswordPolicy = z
  .strictObject({
    length: z.number().int().min(12).max(256).meta({ description: 'Characters' }),
    classes: z
      .array(z.enum(characterClasses))
      .min(2)
      .max(4)
      .refine((classes) => new Set(classes).size === classes.length, { error: 'must name each class once' }),
    forbidden: z
      .string()
      .max(64)
      .refine((characters) => /^[\x21-\x7e]*$/.test(characters), { error: 'must be visible ASCII characters' })
      .optional()
      .meta({ description: 'Characters that never occur' }),
  })
  .superRefine((policy, context) => {
    const sets = allowedCharacters(policy)
    if (sets.some((set) => set.length === 0)) context.addIssue({ code: 'custom', path: ['forbidden'], message: 'must leave a character of each class' })
    else if (policy.length * Math.log2(sets.flat().length) < leastBits)
      context.addIssue({ code: 'custom', path: ['length'], message: 'must be longer for so few characters' })
  })
export type PasswordPolicy = z.infer<typeof PasswordPolicy>
