import { performance } from 'node:perf_hooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { brokenBuild } from '../chaos/broken-build.ts'
import { cellsOf, drawn, rotationCases } from '../chaos/cells.ts'
import { seedOfCommit } from '../chaos/commit.ts'
import { randomOf } from '../chaos/random.ts'
import { settleLimit } from '../chaos/settled.ts'
import { runCells } from '../chaos/table.ts'
import { openWorld, type World } from '../chaos/world.ts'

/** A sample of `npm run chaos -- rotation`: another commit is another sample. */
const seed = seedOfCommit()
const sampleMs = 45_000
const awayMs = 1_000

describe('whatever dies at whatever instant', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld()
  }, 120_000)
  afterAll(() => world?.end())

  test(
    'each host has the password that the vault knows it to have, and everything that was owed is done, once',
    async () => {
      for (const [name, why] of world.missing) console.log(`crash matrix: cells of ${name} are left out: ${why}`)
      const cells = cellsOf(rotationCases, world.targets)
      const until = performance.now() + sampleMs
      console.log(`crash matrix, seed ${seed}, of ${cells.length} cells:`)
      const { done, broken } = await runCells(world, drawn(cells, randomOf(seed)), { awayMs, over: () => performance.now() > until })
      expect(broken).toEqual([])
      expect(done).toBeGreaterThan(0)
    },
    sampleMs + 2 * settleLimit,
  )
})

describe('a build that breaks a promise is caught, because', () => {
  test.each([
    ['promote-before-verify', 'postgres', /which the vault knows it to have, does not log in/],
    ['no-fence-for-results', 'postgres', /version 3 logs in, and the vault knows of 2/],
  ])('%s', { timeout: 240_000 }, async (name, target, promise) => {
    const build = brokenBuild(name)
    try {
      const world = await openWorld({ program: build.folder, places: [target] })
      try {
        const cells = cellsOf(rotationCases, world.targets).filter((cell) => cell.target.name === target && cell.name.includes(build.caughtBy))
        expect(cells).toHaveLength(1)
        const { broken } = await runCells(world, cells, { awayMs, over: () => false, print: () => {} })
        expect(broken.map(({ wrong }) => wrong.join('; '))).toEqual([expect.stringMatching(promise)])
      } finally {
        await world.end()
      }
    } finally {
      build.remove()
    }
  })
})
