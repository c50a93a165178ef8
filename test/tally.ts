import type { TestModule } from 'vitest/node'

/** What a run came to. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly skips: readonly string[]
}

/**
 * Counts the tests of all files. A file that could not be read, and an error outside a test, are failures like any other.
 *
 * @param unhandled number of errors that belong to no test
 */
export function tally(modules: readonly TestModule[], unhandled: number): Tally {
  const tests = modules.flatMap((module) => [...module.children.allTests()])
  const broken = modules.flatMap((module) => [...module.errors(), ...[...module.children.allSuites()].flatMap((suite) => suite.errors())]).length
  const inState = (state: string) => tests.filter((test) => test.result().state === state)
  // A test that never ran because its file or its suite broke down has no verdict: that is not a skip.
  const skipped = inState('skipped')
  return {
    passed: inState('passed').length,
    failed: inState('failed').length + inState('pending').length + broken + unhandled,
    skipped: skipped.length,
    skips: skipped.map((test) => `${test.module.relativeModuleId} > ${test.fullName}: ${reasonOf(test.result())}`),
  }
}

function reasonOf(result: object): string {
  return 'note' in result && typeof result.note === 'string' ? result.note : 'it gives no reason'
}
