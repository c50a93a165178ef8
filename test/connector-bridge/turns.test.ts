import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createTurns } from '#connector-bridge/jobs/turns.ts'
import { ConnectorId } from '#schemas/ids.ts'

const [loud, quiet] = [ConnectorId.parse('0198c0de-0000-7000-8000-000000000001'), ConnectorId.parse('0198c0de-0000-7000-8000-000000000002')]

function world() {
  const lines: string[] = []
  const turns = createTurns(pino({}, { write: (line) => void lines.push(line) }))
  let working = 0
  let most = 0
  let letGo = (): void => {}
  const held = new Promise<void>((resolve) => (letGo = resolve))
  const work = async (): Promise<string> => {
    most = Math.max(most, ++working)
    await held
    working--
    return 'done'
  }
  return { turns, lines, work, letGo: () => letGo(), most: () => most }
}

test('of one connector 16 messages are worked on at once and 64 wait; the rest is turned away, and others do not feel it', async () => {
  const { turns, work, letGo, most, lines } = world()
  const answers = Array.from({ length: 500 }, () => turns.take(loud, work))
  expect(await turns.take(quiet, async () => 'at once')).toBe('at once')
  letGo()
  const said = await Promise.all(answers)
  expect([said.filter((answer) => answer === 'done').length, said.filter((answer) => answer === undefined).length]).toEqual([80, 420])
  expect(most()).toBe(16)
  expect(lines.length).toBe(1)
  expect(await turns.take(loud, async () => 'again')).toBe('again')
})

test('a message that cannot be answered gives its turn to the next one', async () => {
  const { turns } = world()
  const answers = Array.from({ length: 80 }, (_, index) =>
    turns.take(loud, async () => {
      await setImmediate()
      if (index % 2 === 0) throw new Error('injected')
      return index
    }),
  )
  const said = await Promise.allSettled(answers)
  expect(said.filter(({ status }) => status === 'fulfilled').length).toBe(40)
})
