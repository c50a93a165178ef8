import { randomUUID } from 'node:crypto'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openJournal, type JournalEntry } from '#connector/journal.ts'
import { JobId } from '#schemas/ids.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'journal-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const instance = randomUUID()
const newJob = (): Pick<JournalEntry, 'jobId' | 'epoch' | 'instance'> => ({ jobId: JobId.parse(randomUUID()), epoch: 3, instance })

test('what was appended is there after a restart, and a reported job is no longer open', () => {
  const file = path.join(folder, 'journal')
  const [left, done] = [newJob(), newJob()]
  const journal = openJournal(file)
  for (const state of ['received', 'claimed', 'applying'] as const) journal.append({ ...left, state })
  for (const state of ['received', 'claimed', 'reported'] as const) journal.append({ ...done, state })
  journal.close()
  const again = openJournal(file)
  expect(again.open()).toEqual([{ ...left, state: 'applying' }])
  expect([again.claimedEpoch(left.jobId), again.claimedEpoch(done.jobId), again.claimedEpoch(randomUUID())]).toEqual([3, 3, 0])
  again.close()
})

test('a line that a crash cut off is as if it had never been written', () => {
  const file = path.join(folder, 'journal')
  const job = newJob()
  const journal = openJournal(file)
  journal.append({ ...job, state: 'claimed' })
  journal.close()
  appendFileSync(file, `{"jobId":"${job.jobId}","ep`)
  const again = openJournal(file)
  again.append({ ...job, state: 'applying' })
  again.close()
  const third = openJournal(file)
  expect(third.open()).toEqual([{ ...job, state: 'applying' }])
  third.close()
})

test('a damaged line in the middle stops the connector instead of being skipped', () => {
  const file = path.join(folder, 'journal')
  appendFileSync(file, '{"jobId":1}\n')
  expect(() => openJournal(file)).toThrow()
})

test('a claim that was not granted may be offered again with the same epoch', () => {
  const journal = openJournal(path.join(folder, 'journal'))
  const job = newJob()
  journal.append({ ...job, state: 'received' })
  journal.append({ ...job, state: 'reported', unclaimed: true })
  expect(journal.claimedEpoch(job.jobId)).toBe(0)
  journal.close()
})

test('the journal is for its owner only and is made short at each start', () => {
  const file = path.join(folder, 'journal')
  const journal = openJournal(file)
  const job = newJob()
  for (let count = 0; count < 50; count++) journal.append({ ...job, state: 'claimed' })
  journal.close()
  openJournal(file).close()
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(1)
})
