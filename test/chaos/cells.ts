import { coreCases, companionCases, type KillCase } from './kill-cases.ts'
import { lineCases } from './line-cases.ts'
import { shuffled } from './random.ts'
import { storyCases } from './story-cases.ts'
import type { Target } from './target.ts'

/** A case on a target. */
export interface Cell extends KillCase {
  readonly target: Target
}

/** Everything that can go wrong around a rotation. */
export const rotationCases: readonly KillCase[] = [...coreCases, ...companionCases, ...lineCases, ...storyCases]

export const cellsOf = (
  cases: readonly KillCase[],
  targets: readonly Target[],
  nameOf = (target: Target, { name }: KillCase): string => `${target.name}: ${name}`,
): Cell[] => targets.flatMap((target) => cases.filter(({ fits }) => fits?.(target) ?? true).map((one) => ({ ...one, target, name: nameOf(target, one) })))

/** A draw in which every target, and every group of cases, comes before any of them comes again. */
export function drawn(cells: readonly Cell[], count: number, random: () => number): Cell[] {
  const left = shuffled(cells, random)
  const seen = new Map<unknown, number>()
  const weight = ({ target }: Cell): number => seen.get(target) ?? 0
  const taken: Cell[] = []
  while (taken.length < count && left.length > 0) {
    const least = Math.min(...left.map(weight))
    const [cell] = left.splice(
      left.findIndex((candidate) => weight(candidate) === least),
      1,
    )
    if (cell === undefined) break
    seen.set(cell.target, weight(cell) + 1)
    taken.push(cell)
  }
  return taken
}
