import { performance } from 'node:perf_hooks'
import type { Cell } from './cells.ts'
import type { World } from './world.ts'

export interface Broken {
  readonly name: string
  readonly wrong: readonly string[]
}

/**
 * Runs cells one after the other and prints a line for each.
 *
 * @param over asked before each
 * @returns how many ran, and what was broken
 */
export async function runCells(
  world: World,
  cells: Iterable<Cell>,
  { awayMs, over, print = console.log }: { readonly awayMs: number; readonly over: (done: number) => boolean; readonly print?: (line: string) => void },
): Promise<{ readonly done: number; readonly broken: readonly Broken[] }> {
  const broken: Broken[] = []
  let done = 0
  for (const cell of cells) {
    if (over(done)) break
    const began = performance.now()
    const wrong = await world.run(cell, awayMs)
    done += 1
    const seconds = ((performance.now() - began) / 1_000).toFixed(1).padStart(5)
    print(`${wrong.length === 0 ? 'ok  ' : 'FAIL'} ${seconds} s  ${cell.name}${wrong.length === 0 ? '' : `: ${wrong.join('; ')}`}`)
    if (wrong.length > 0) broken.push({ name: cell.name, wrong })
  }
  const late = await world.lastLook()
  if (late.length > 0) broken.push({ name: 'after all cells', wrong: late })
  return { done, broken }
}
