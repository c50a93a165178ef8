import { z } from 'zod'
import { passwordSpace, type PasswordSpace } from './rules/password-space.ts'

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

/** Everything that a generator must know. */
export interface PasswordRules {
  /** Characters. */
  readonly length: number
  /** Each occurs at least once. */
  readonly classes: readonly CharacterClass[]
  /** Classes that occur more often than once at least. */
  readonly minimums?: { readonly [Class in CharacterClass]?: number | undefined } | undefined
  readonly forbidden?: string | undefined
}

const all = ['lower', 'upper', 'digit', 'symbol'] as const
/** Symbols that a shell, a URL, a connection string or a configuration file reads as its own. */
const risky = '!#$%&()*/:;<=>?@[]^{|}'

/**
 * What targets take without a question: over 180 bits (mysql: 32 characters are the most that its replication takes), two of each
 * class where the usual checks count them (pam_pwquality, validate_password, ppolicy modules).
 */
export const passwordPresets = {
  postgres: { length: 32, classes: all, forbidden: risky },
  linux: { length: 32, classes: all, minimums: { lower: 2, upper: 2, digit: 2, symbol: 2 }, forbidden: risky },
  mysql: { length: 32, classes: all, minimums: { lower: 2, upper: 2, digit: 2, symbol: 2 }, forbidden: risky },
  ldap: { length: 32, classes: all, minimums: { lower: 2, upper: 2, digit: 2, symbol: 2 }, forbidden: `${risky},+~` },
} as const satisfies Readonly<Record<string, PasswordRules>>
type PresetName = keyof typeof passwordPresets
const presetNames = Object.keys(passwordPresets) as [PresetName, ...PresetName[]]

/** What a policy allows, one set of characters per class. */
export function allowedCharacters({ classes, forbidden = '' }: Pick<PasswordRules, 'classes' | 'forbidden'>): string[][] {
  return classes.map((name) => [...charactersOf[name]].filter((character) => !forbidden.includes(character)))
}

/** All passwords that the rules allow. */
export function spaceOf(rules: PasswordRules): PasswordSpace {
  const sets = allowedCharacters(rules)
  const classes = rules.classes.map((name, index) => ({ size: sets[index]?.length ?? 0, minimum: rules.minimums?.[name] ?? 1 }))
  return passwordSpace(classes, rules.length)
}

const count = z.number().int().min(1).max(256).optional()

const Fields = z.strictObject({
  preset: z.enum(presetNames).optional().meta({ description: 'Rules that such a target takes; other fields replace those of the preset' }),
  length: z.number().int().min(12).max(256).optional().meta({ description: 'Characters; required without a preset' }),
  classes: z
    .array(z.enum(characterClasses))
    .min(2)
    .max(4)
    .refine((classes) => new Set(classes).size === classes.length, { error: 'must name each class once' })
    .optional()
    .meta({ description: 'Required without a preset' }),
  minimums: z
    .strictObject({ lower: count, upper: count, digit: count, symbol: count })
    .optional()
    .meta({ description: 'How often a class occurs at least; default: once' }),
  forbidden: z
    .string()
    .max(64)
    .refine((characters) => /^[\x21-\x7e]*$/.test(characters), { error: 'must be visible ASCII characters' })
    .optional()
    .meta({ description: 'Characters that never occur' }),
})

/** What generated passwords look like. Every class that is named occurs at least once; one that nothing satisfies is refused. */
export const PasswordPolicy = Fields.superRefine((policy, context) => {
  for (const { path, message } of policyFaults(policy)) context.addIssue({ code: 'custom', path, message })
})
export type PasswordPolicy = z.infer<typeof PasswordPolicy>

/** The rules that a policy stands for; undefined: it names neither a preset nor length and classes. */
export function rulesOf({ preset, ...own }: PasswordPolicy): PasswordRules | undefined {
  const base: Partial<PasswordRules> = preset === undefined ? {} : passwordPresets[preset]
  const length = own.length ?? base.length
  const classes = own.classes ?? base.classes
  if (length === undefined || classes === undefined) return undefined
  // Minimums of a preset for a class that the policy leaves out have gone with it.
  const minimums = own.minimums ?? Object.fromEntries(Object.entries(base.minimums ?? {}).filter(([name]) => classes.includes(name as CharacterClass)))
  return { length, classes, minimums, forbidden: own.forbidden ?? base.forbidden }
}

interface Fault {
  readonly path: string[]
  readonly message: string
}

function policyFaults(policy: PasswordPolicy): Fault[] {
  const rules = rulesOf(policy)
  if (rules === undefined) {
    return (['length', 'classes'] as const)
      .filter((field) => policy[field] === undefined)
      .map((field) => ({ path: [field], message: 'is required without a preset' }))
  }
  const foreign = Object.entries(rules.minimums ?? {}).filter(([name, least]) => least !== undefined && !rules.classes.includes(name as CharacterClass))
  if (foreign.length > 0) return foreign.map(([name]) => ({ path: ['minimums', name], message: 'must name a class of classes' }))
  if (allowedCharacters(rules).some((set) => set.length === 0)) return [{ path: ['forbidden'], message: 'must leave a character of each class' }]
  const { size } = spaceOf(rules)
  if (size === 0n) return [{ path: ['minimums'], message: 'must fit into the length together' }]
  return size < 2n ** BigInt(leastBits) ? [{ path: ['length'], message: 'must be longer for so few passwords' }] : []
}
