/** One class of characters in a password: how many characters there are to choose from, and how often the class occurs at least. */
export interface ClassSpace {
  readonly size: number
  readonly minimum: number
}

export interface PasswordSpace {
  /** How many strings there are. */
  readonly size: bigint
  /**
   * How many of the strings of `places` characters over the classes from `index` on take 0, 1, 2, ... characters of that class:
   * choose their places, fill them, and leave the others to the classes behind it.
   */
  readonly shares: (index: number, places: number) => readonly bigint[]
}

/**
 * All strings of `length` characters that hold each class at least as often as asked, counted exactly.
 *
 * @param length characters; the work grows with its square
 */
export function passwordSpace(classes: readonly ClassSpace[], length: number): PasswordSpace {
  const choose = pascal(length)
  const powers = classes.map(({ size }) => powersOf(BigInt(size), length))
  /** `ways[index][places]`: strings over the classes from `index` on; without a class there is only the empty one. */
  const ways: bigint[][] = [...classes.map(() => []), [1n, ...Array.from({ length }, () => 0n)]]
  const shares: PasswordSpace['shares'] = (index, places) =>
    Array.from({ length: places + 1 }, (_, taken) =>
      taken < (classes[index]?.minimum ?? 0)
        ? 0n
        : (choose[places]?.[taken] ?? 0n) * (powers[index]?.[taken] ?? 0n) * (ways[index + 1]?.[places - taken] ?? 0n),
    )
  for (let index = classes.length - 1; index >= 0; index -= 1) {
    ways[index] = Array.from({ length: length + 1 }, (_, places) => shares(index, places).reduce((sum, share) => sum + share, 0n))
  }
  return { size: ways[0]?.[length] ?? 0n, shares }
}

/** Binomial coefficients up to row `length`. */
function pascal(length: number): readonly (readonly bigint[])[] {
  const rows: bigint[][] = [[1n]]
  for (let row = 1; row <= length; row += 1) {
    const above = rows[row - 1] ?? []
    rows.push(Array.from({ length: row + 1 }, (_, column) => (above[column - 1] ?? 0n) + (above[column] ?? 0n)))
  }
  return rows
}

function powersOf(base: bigint, highest: number): readonly bigint[] {
  const powers = [1n]
  for (let exponent = 1; exponent <= highest; exponent += 1) powers.push((powers[exponent - 1] ?? 1n) * base)
  return powers
}
