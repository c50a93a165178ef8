import path from 'node:path'
import { pino } from 'pino'
import type { Adapter } from '#connector/adapters/adapter.ts'
import { adapters } from '#connector/adapters/all.ts'
import { startConnector, type RunningConnector } from '#connector/connector.ts'
import { openJournal } from '#connector/journal.ts'

/** A connector in this process, as its main program would start it. @param other adapters that a test wants to see or to break */
export const runConnector = (home: string, other: Readonly<Record<string, Adapter>> = {}): RunningConnector =>
  startConnector({
    home,
    build: 'test',
    journal: openJournal(path.join(home, 'journal.jsonl')),
    adapters: { ...adapters, ...other },
    log: pino({ level: process.env['LEASEHOLD_TEST_DEBUG'] ? 'info' : 'silent' }),
  })
