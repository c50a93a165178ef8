import { startStack } from '#stack/test-stack.ts'
import { openTemporal } from '#test/stack/open-temporal.ts'
import { summaryOf } from './aims.ts'
import { figuresOf } from './figures.ts'
import { rotateMany, rotateOneByOne } from './many-rotations.ts'

const count = 1_000
const alone = 50

/**
 * One password after the other on an idle stack; then a thousand identities due at once: each is rotated once, no more at a time than a
 * connector may, and the schedule keeps its hours.
 */
export async function rotationsBench(say: (line: string) => void): Promise<void> {
  const stack = await startStack()
  try {
    const { p50: single, p99: slowest } = figuresOf([{ times: await rotateOneByOne(stack, alone), elapsed: Number.NaN }])
    say(`${alone} resets one after the other: offer to result p50 ${single.toFixed(0)} ms, p99 ${slowest.toFixed(0)} ms`)
    const { client, close } = await openTemporal(stack)
    const { states, notOnce, drifted, mostClaimed, times, elapsed, refused } = await rotateMany(stack, client, count, 420_000).finally(close)
    const { p50, p99 } = figuresOf([{ times, elapsed }])
    const confirmed = states.filter((state) => state === 'confirmed').length
    say(`${count} due identities: ${confirmed} confirmed after ${(elapsed / 1_000).toFixed(1)} s, ${(confirmed / (elapsed / 1_000)).toFixed(1)}/s`)
    say(`at most ${mostClaimed} at once; offer to result p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`)
    if (confirmed !== count || notOnce + drifted + refused > 0) {
      throw new Error(`${notOnce} not rotated once, ${drifted} with a moved schedule, ${refused} whose vaulted value is refused`)
    }
    say(
      summaryOf([
        { name: 'ms from offer to result of one reset, p50', reached: single, atMost: 150, digits: 0 },
        { name: 'jobs at once', reached: mostClaimed, atMost: 16, digits: 0 },
      ]),
    )
  } finally {
    await stack.stop()
  }
}
