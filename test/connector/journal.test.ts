import { spawnSync } from 'node:child_process'
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

test('a last line that came to disk in part is dropped too, and one in the middle is not', () => {
  const file = path.join(folder, 'journal')
  const job = newJob()
  const journal = openJournal(file)
  journal.append({ ...job, state: 'claimed' })
  journal.close()
  appendFileSync(file, `{"jobId":"${job.jobId}\u0000\u0000"}\n`)
  const again = openJournal(file)
  expect(again.open()).toEqual([{ ...job, state: 'claimed' }])
  again.close()
  appendFileSync(file, `{"jobId":"${job.jobId}\u0000\u0000"}\n{}\n`)
  expect(() => openJournal(file)).toThrow('line 2 of the journal')
})

/** Appends steps of two lengths, where no file may be longer than `limit` KiB. @returns which of them were taken */
function appendUntilFull(file: string, limit: number): { taken: string[]; refused: number } {
  const script = `
    import { randomUUID } from 'node:crypto'
    import { openJournal } from ${JSON.stringify(path.resolve('connector/journal.ts'))}
    const journal = openJournal(${JSON.stringify(file)})
    const taken = []
    let refused = 0
    for (let count = 0; count < 60; count++) {
      const step = { jobId: randomUUID(), epoch: 1, instance: randomUUID(), state: 'claimed' }
      const result = { v: 1, ...step, outcome: 'unknown', reasonClass: null, stagedLogsIn: null, knownLogsIn: null, macKeyId: 'o1', mac: 'A'.repeat(43) }
      delete result.state
      try {
        journal.append(count % 2 === 0 ? step : { ...step, state: 'verified', result })
        taken.push(step.jobId)
      } catch {
        refused++
      }
    }
    console.log(JSON.stringify({ taken, refused }))`
  const node = [process.execPath, '--input-type=module', '-e', script]
  const { stdout } = spawnSync('bash', ['-c', `ulimit -f ${limit} && exec "$@"`, 'bash', ...node], { encoding: 'utf8' })
  return JSON.parse(stdout)
}

test('a step for which the disk has no room is refused and leaves nothing: what was taken is there after a restart', () => {
  for (const limit of [4, 5, 6]) {
    const file = path.join(folder, `journal-${limit}`)
    const { taken, refused } = appendUntilFull(file, limit)
    expect([taken.length > 5, refused > 5]).toEqual([true, true])
    const journal = openJournal(file)
    expect(journal.open().map(({ jobId }) => jobId)).toEqual(taken)
    const job = newJob()
    journal.append({ ...job, state: 'claimed' })
    expect(journal.open()).toContainEqual({ ...job, state: 'claimed' })
    journal.close()
  }
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

test('the journal is made short when it has grown, and loses nothing', () => {
  const file = path.join(folder, 'journal')
  const journal = openJournal(file)
  const [kept, other] = [newJob(), newJob()]
  journal.append({ ...kept, state: 'applying' })
  let largest = 0
  for (let count = 0; count < 9_000; count++) {
    journal.append({ ...other, state: count % 2 === 0 ? 'received' : 'claimed' })
    if (count % 100 === 0) largest = Math.max(largest, statSync(file).size)
  }
  expect(largest).toBeGreaterThan(500_000)
  expect(statSync(file).size).toBeLessThan(500_000)
  expect(largest).toBeLessThan(1_100_000)
  journal.close()
  const again = openJournal(file)
  expect(again.open()).toEqual([
    { ...kept, state: 'applying' },
    { ...other, state: 'claimed' },
  ])
  again.close()
})
