import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { startStack } from '#stack/test-stack.ts'
import { useProduct } from '../stack/product.ts'
import { killCases } from './kill-cases.ts'
import { randomOf, shuffled } from './random.ts'
import { unsettled } from './settled.ts'

/**
 * `npm run chaos -- core [--seed N] [--minutes M] [--away SECONDS] [--only WORDS] [--runs N]`: kills part after part of a stack of its
 * own and holds what is there afterwards against the promises; only the cases with these words in their name, so many of them. The last line is the sum; it exits with 1 when a promise was broken.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '7' },
    away: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    runs: { type: 'string', default: '100000' },
  },
})
if (positionals.join() !== 'core') throw new Error('usage: npm run chaos -- core [--seed N] [--minutes M] [--away SECONDS] [--only WORDS] [--runs N]')

const random = randomOf(Number(values.seed))
const until = performance.now() + Number(values.minutes) * 60_000
const stack = await startStack()
const broken: string[] = []
let done = 0
const cases = killCases(Number(values.away) * 1_000).filter(({ name }) => name.includes(values.only))
if (cases.length === 0) throw new Error(`no case has '${values.only}' in its name`)
const over = (): boolean => performance.now() >= until || done >= Number(values.runs)
try {
  const product = await useProduct(stack)
  while (!over()) {
    for (const { name, provoke } of shuffled(cases, random)) {
      if (over()) break
      const began = performance.now()
      const wrong = await provoke(stack, product).then(
        (checkout) => unsettled(stack, product, checkout),
        (error: Error) => [error.message],
      )
      done += 1
      if (wrong.length > 0) broken.push(`${name} (${wrong.join('; ')})`)
      console.log(
        `${wrong.length === 0 ? 'ok  ' : 'FAIL'} ${((performance.now() - began) / 1_000).toFixed(1).padStart(5)} s  ${name}${wrong.length === 0 ? '' : `: ${wrong.join('; ')}`}`,
      )
    }
  }
} finally {
  await stack.stop()
}
console.log(`chaos core, seed ${values.seed}: ${done} cases, ${broken.length} broken promises${broken.length === 0 ? '' : `; below: ${broken.join(' | ')}`}`)
process.exit(broken.length === 0 && done > 0 ? 0 : 1)
