import path from 'node:path'
import { pino } from 'pino'
import { adapters } from '#connector/adapters/all.ts'
import { startConnector, type RunningConnector } from '#connector/connector.ts'
import { openJournal } from '#connector/journal.ts'

/** A connector in this process, as its main program would start it. */
export const runConnector = (home: string): RunningConnector =>
  startConnector({
    home,
    build: 'test',
    journal: openJournal(path.join(home, 'journal.jsonl')),
    adapters,
    log: pino({ level: process.env['LEASEHOLD_TEST_DEBUG'] ? 'info' : 'silent' }),
  })
