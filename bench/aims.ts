/** One aim: what was reached, and what had to be. */
export interface Aim {
  readonly name: string
  readonly reached: number
  readonly atLeast?: number
  readonly atMost?: number
  /** Decimal places. */
  readonly digits?: number
}

/** @returns the last line of a bench, which names every missed aim after `below:` */
export function summaryOf(aims: readonly Aim[]): string {
  const missed = aims.filter(({ reached, atLeast = -Infinity, atMost = Infinity }) => !(reached >= atLeast && reached <= atMost))
  const met = `${aims.length - missed.length} of ${aims.length} aims met`
  return `${met}; below: ${missed.length === 0 ? 'none' : missed.map(words).join('; ')}`
}

function words({ name, reached, atLeast, atMost, digits = 2 }: Aim): string {
  const wanted = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`
  return `${name} ${reached.toFixed(digits)} (${wanted})`
}
