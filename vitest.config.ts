import { defineConfig } from 'vitest/config'

/** Tests that need no server at all. */
const pure = ['test/schemas/**/*.test.ts', 'test/policy/**/*.test.ts', 'test/repository/**/*.test.ts', 'test/canary/**/*.test.ts']
/** Tests that need the whole product running. */
const whole = ['test/stack/**/*.test.ts', 'test/cli/**/*.test.ts']

const shared = { testTimeout: 30_000, hookTimeout: 120_000, pool: 'forks' as const }
/** Files share processes, and with them the code that they load: a third of the time of many of them. What one of them changes it must change back. */
const together = { isolate: false }

export default defineConfig({
  test: {
    // Beyond the cores of a small machine: many wait for servers and clocks more than they work.
    maxWorkers: 4,
    reporters: ['default'],
    projects: [
      { test: { ...shared, ...together, name: 'unit', include: pure } },
      {
        test: {
          ...shared,
          ...together,
          name: 'servers',
          include: ['test/**/*.test.ts'],
          exclude: [...pure, ...whole],
          globalSetup: ['test/support/servers.ts'],
        },
      },
      // After the others and one at a time: two whole products on two cores measure each other.
      { test: { ...shared, name: 'stack', include: whole, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
})
