/** What one policy may be, so that neither reading nor judging it exhausts the engine's stack: well below where that was seen. */
const limits = [
  { most: 120, of: 'operators', found: /\|\||&&|[-+*!]|\b(?:if|has|like|is)\b/g },
  { most: 240, of: 'brackets, members and conditions', found: /[.([{]|\b(?:when|unless)\b/g },
] as const
const deepest = 24

/** Everything that is no code: strings and comments. */
const quiet = /"(?:[^"\\]|\\.)*"|\/\/[^\n]*/g

/**
 * What is too much about the text of a policy set; undefined: nothing. Looks at the text alone, before the engine sees it.
 */
export function sizeFault(text: string): string | undefined {
  const code = text.replace(quiet, ' ')
  let depth = 0
  for (const letter of code) {
    if ('([{'.includes(letter)) depth += 1
    if (')]}'.includes(letter)) depth -= 1
    if (depth > deepest) return `must not be nested deeper than ${deepest}`
  }
  const policies = code.split(';')
  const over = limits.find(({ most, found }) => policies.some((policy) => (policy.match(found)?.length ?? 0) > most))
  return over && `must have at most ${over.most} ${over.of} in one policy; a set takes any number of values`
}
