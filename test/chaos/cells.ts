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
const kinds = [coreCases, companionCases, lineCases, storyCases]
export const rotationCases: readonly KillCase[] = kinds.flat()

export const cellsOf = (
  cases: readonly KillCase[],
  targets: readonly Target[],
  nameOf = (target: Target, name: string): string => `${target.name}: ${name}`,
): Cell[] => targets.flatMap((target) => cases.filter(({ fits }) => fits?.(target) ?? true).map((one) => ({ ...one, target, name: nameOf(target, one.name) })))

/** The cells in an order of chance, but targets take turns, and so do the kinds of cases, of which some are many and some are few. */
export function drawn(cells: readonly Cell[], random: () => number): Cell[] {
  const left = shuffled(cells, random)
  const kindOf = ({ provoke }: Cell): number => kinds.findIndex((kind) => kind.some((one) => one.provoke === provoke))
  const count = new Map<unknown, number>()
  const seen = (cell: Cell): number => (count.get(cell.target) ?? 0) * cells.length + (count.get(kindOf(cell)) ?? 0)
  return cells.map(() => {
    const least = Math.min(...left.map(seen))
    const [cell] = left.splice(
      left.findIndex((candidate) => seen(candidate) === least),
      1,
    ) as [Cell]
    for (const what of [cell.target, kindOf(cell)]) count.set(what, (count.get(what) ?? 0) + 1)
    return cell
  })
}
