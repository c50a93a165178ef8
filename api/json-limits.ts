/** What a body may be before anybody reads it. */
const mostLevels = 32
const mostFields = 1_000

/**
 * Looks at JSON before it is parsed: a parser recurses into every level, and of two fields with one name it drops the first
 * without a word, which somebody between us and the caller may have judged by.
 *
 * @returns what is wrong with the text, undefined: nothing. Whether it is JSON at all is the parser's to say
 */
export function jsonFault(text: string): string | undefined {
  /** Names of the fields so far, per open bracket; an array has none. */
  const open: (Set<string> | undefined)[] = []
  let fields = 0
  /** Whether the next string names a field. */
  let naming = false
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index]
    if (character === '{' || character === '[') {
      naming = character === '{'
      open.push(naming ? new Set() : undefined)
      if (open.length > mostLevels) return `JSON must not be nested deeper than ${mostLevels}`
    } else if (character === '}' || character === ']') open.pop()
    else if (character === ',') naming = open.at(-1) !== undefined
    else if (character === ':') naming = false
    else if (character === '"') {
      const end = endOfString(text, index)
      const names = open.at(-1)
      if (naming && names !== undefined) {
        fields += 1
        const name = plain(text.slice(index, end + 1))
        if (fields > mostFields) return `JSON must not have more than ${mostFields} fields`
        if (name === '__proto__') return 'JSON must not have a field of this name: __proto__'
        if (names.has(name)) return 'JSON must name each field of an object once'
        names.add(name)
      }
      index = end
    }
  }
  return undefined
}

/** Index of the closing quote; of the last character when there is none. */
function endOfString(text: string, start: number): number {
  let index = start + 1
  while (index < text.length && text[index] !== '"') index += text[index] === '\\' ? 2 : 1
  return Math.min(index, text.length - 1)
}

/** Without escapes: one name has many spellings. */
function plain(quoted: string): string {
  try {
    return String(JSON.parse(quoted))
  } catch {
    return quoted
  }
}
