/** What a credential is; what follows from it is its form, below and in secrets/ssh-key.ts. */
export const credentialTypes = ['password', 'ssh_key', 'api_key', 'other'] as const
export type CredentialType = (typeof credentialTypes)[number]

/** Longest value of each type, bytes of UTF-8. */
const longest: Readonly<Record<CredentialType, number>> = { password: 4_096, ssh_key: 32_768, api_key: 16_384, other: 65_536 }

/** Types whose values are typed or sent as one line: a control character in one is a mistake, or somebody else's second line. */
const oneLine: ReadonlySet<CredentialType> = new Set(['password', 'api_key'])
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/** Types whose values have a form: a value that was stored as another type need not have it. */
export const hasForm = (type: CredentialType): boolean => type === 'ssh_key' || oneLine.has(type)

/** The rule that a value of this type breaks; undefined: none of those that need no parsing. */
export function formFault(type: CredentialType, value: string): string | undefined {
  if (new TextEncoder().encode(value).length > longest[type]) return `must be at most ${longest[type]} bytes long`
  return oneLine.has(type) && controls.test(value) ? 'must be one line without control characters' : undefined
}
