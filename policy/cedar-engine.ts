import { createRequire } from 'node:module'
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs'

const require = createRequire(import.meta.url)
const name = '@cedar-policy/cedar-wasm/nodejs'
let engine = require(name) as typeof Cedar
let generation = 0

/** Grows when the engine was started anew: what it held is gone. */
export const engineGeneration = (): number => generation

/**
 * Asks the Cedar engine. After a trap (an overflow of its stack) a WebAssembly instance is dead for whoever comes next, so it is
 * thrown away and another one takes its place.
 *
 * @throws WebAssembly.RuntimeError of the trap, to the one who caused it
 */
export function askEngine<T>(ask: (engine: typeof Cedar) => T): T {
  try {
    return ask(engine)
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
      delete require.cache[require.resolve(name)]
      engine = require(name) as typeof Cedar
      generation += 1
    }
    throw error
  }
}
