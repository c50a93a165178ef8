import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { brokenBuild } from './broken-build.ts'
import { cellsOf, drawn, rotationCases } from './cells.ts'
import { coreCases } from './kill-cases.ts'
import { randomOf } from './random.ts'
import { runCells } from './table.ts'
import { severalHosts } from './targets.ts'
import { openWorld, type World } from './world.ts'

/**
 * `npm run chaos -- core|rotation [--runs N] [--seed S] [--all] [--minutes M] [--away SECONDS] [--only WORDS]... [--target NAME] [--break NAME]`:
 * breaks part after part of a stack of its own and holds what is there afterwards against the promises (docs/chaos.md). The last
 * line is the sum; it exits with 1 when a promise was broken.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string' },
    all: { type: 'boolean', default: false },
    minutes: { type: 'string' },
    away: { type: 'string', default: '3' },
    only: { type: 'string', multiple: true },
    target: { type: 'string' },
    break: { type: 'string' },
  },
})
const [suite] = positionals
if (positionals.length !== 1 || (suite !== 'core' && suite !== 'rotation')) {
  throw new Error(
    'usage: npm run chaos -- core|rotation [--runs N] [--seed S] [--all] [--minutes M] [--away SECONDS] [--only WORDS]... [--target NAME] [--break NAME]',
  )
}

const random = randomOf(Number(values.seed))
const build = values.break === undefined ? undefined : brokenBuild(values.break)
const runs = values.all ? Infinity : Number(values.runs ?? Infinity)
const limit = performance.now() + Number(values.minutes ?? (values.all || values.runs !== undefined ? Infinity : 7)) * 60_000
let world: World | undefined
let leaving: Promise<void> | undefined
const leave = (): Promise<void> =>
  (leaving ??= (async () => {
    await world?.end()
    build?.remove()
  })())
const quit = (): void => void leave().finally(() => process.exit(1))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, quit)
process.once('disconnect', quit)
let summary: string
let isBroken: boolean
try {
  const wanted = suite === 'core' ? [] : values.target === undefined || values.target === severalHosts ? undefined : [values.target]
  world = await openWorld({ ...(wanted === undefined ? {} : { places: wanted }), ...(build === undefined ? {} : { program: build.folder }) })
  for (const [name, why] of world.missing) console.log(`left out: every cell of ${name}: ${why}`)
  const all = suite === 'core' ? cellsOf(coreCases, [world.seeded], (_, name) => name) : cellsOf(rotationCases, world.targets)
  const words = values.only ?? [build?.caughtBy ?? '']
  const cells = all.filter(({ name, target }) => words.some((part) => name.includes(part)) && (values.target ?? target.name) === target.name)
  if (cells.length === 0) throw new Error(`no cell of these targets has '${words.join("' or '")}' in its name`)
  const over = (done: number): boolean => performance.now() >= limit || done >= runs
  const { done, broken } = await runCells(world, values.all || build !== undefined ? cells : endless(), { awayMs: Number(values.away) * 1_000, over })
  const left = world.missing.size === 0 ? '' : `, left out: ${[...world.missing.keys()].join(', ')}`
  const below = broken.map(({ name, wrong }) => `${name} (${wrong.join('; ')})`).join(' | ')
  summary = `chaos ${suite}, seed ${values.seed}: ${done} cells of ${cells.length}${left}, ${broken.length} broken promises${broken.length === 0 ? '' : `; below: ${below}`}`
  isBroken = broken.length > 0 || done === 0

  /** Each cell once in an order that follows from the seed, every target in its turn; then again in another. */
  function* endless(): Generator<(typeof cells)[number]> {
    for (;;) yield* drawn(cells, random)
  }
} finally {
  await leave()
}
console.log(summary)
process.exit(isBroken ? 1 : 0)
