/** `before` with the given fields of `change`; a field that is undefined was not given. */
export function merged<T extends object>(before: T, change: { readonly [Field in keyof T]?: T[Field] | undefined }): T {
  const given = Object.entries(change).filter(([, value]) => value !== undefined)
  return { ...before, ...Object.fromEntries(given) }
}

/** Names of the given fields. */
export const fieldsOf = (change: object): string[] => Object.entries(change).flatMap(([field, value]) => (value === undefined ? [] : [field]))
