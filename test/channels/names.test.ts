import { createSocket, type Socket } from 'node:dgram'
import { lookup as systemLookup } from 'node:dns/promises'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { createLookup } from '#activities/channels/names.ts'
import { createHookReceiver } from '../support/receivers.ts'
import { accountId, channel, notice, sender } from './world.ts'

/** Who answers for the name of a receiver is the receiver's choice. */

const sockets: Socket[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close()
})

type Records = Readonly<Record<'A' | 'AAAA', Buffer | null>>

/** A name server that knows one name: these records, or that there are none (NXDOMAIN); `silent` never answers. `asked` are its questions. */
async function nameServer(records: Records | 'silent') {
  const socket = createSocket('udp4')
  const asked: Buffer[] = []
  sockets.push(socket)
  socket.on('message', (question, { port, address }) => {
    asked.push(question)
    if (records !== 'silent') socket.send(answerTo(question, records), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return { servers: [`127.0.0.1:${socket.address().port}`], asked }
}

/** RFC 1035: the question comes back, followed by a record whose name points to it. */
function answerTo(question: Buffer, records: Records): Buffer {
  const end = question.indexOf(0, 12) + 5
  const type = question.readUInt16BE(end - 4)
  const data = type === 1 ? records.A : records.AAAA
  const head = Buffer.from([0, 0, 0x81, data === null ? 0x83 : 0x80, 0, 1, 0, data === null ? 0 : 1, 0, 0, 0, 0])
  question.copy(head, 0, 0, 2)
  const record = data === null ? [] : [Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length]), data]
  return Buffer.concat([head, question.subarray(12, end), ...record])
}

const unknown: Records = { A: null, AAAA: null }
const never = () => new AbortController().signal
const nobody = async () => []

test('a name has the addresses of both families', async () => {
  const inside = Buffer.concat([Buffer.from([0xfd, 0]), Buffer.alloc(13), Buffer.from([1])])
  const { servers } = await nameServer({ A: Buffer.from([192, 0, 2, 7]), AAAA: inside })
  const lookup = createLookup({ servers, system: nobody })
  expect(await lookup('two.example', never())).toEqual([{ address: '192.0.2.7' }, { address: 'fd00::1' }])
  // One of them is forbidden.
  const send = sender(['192.0.2.0/24'], lookup)
  expect(await send(accountId, notice(), channel('webhook', { url: 'https://two.example/' }))).toEqual({ state: 'refused', receipt: 'address-refused' })
})

test('a name server that is silent keeps nobody else waiting, and is left when the time is over', async () => {
  const { servers, asked } = await nameServer('silent')
  const lookup = createLookup({ servers })
  const hook = await createHookReceiver()
  await hook.start()
  const limit = new AbortController()
  const slow = Array.from({ length: 8 }, () => lookup('slow.example', limit.signal))
  await sleep(50)
  const began = performance.now()
  const local = channel('webhook', { url: hook.url.replace('127.0.0.1', 'localhost') })
  expect(await sender(['127.0.0.0/8', '::1/128'], lookup)(accountId, notice(), local)).toMatchObject({ state: 'delivered' })
  // As of everything else that this process dials by name.
  expect(await systemLookup('localhost')).toMatchObject({ address: expect.any(String) })
  limit.abort()
  expect(await Promise.all(slow)).toEqual(slow.map(() => []))
  expect(performance.now() - began).toBeLessThan(1_500)
  expect(asked.length).toBeGreaterThan(0)
  await hook.stop()
})

test('a name server that does not answer is given up, and the system does not wait for it once more', async () => {
  const { servers } = await nameServer('silent')
  let asked = 0
  const lookup = createLookup({ servers, system: async () => (asked++, [{ address: '127.0.0.1' }]) })
  const began = performance.now()
  expect(await lookup('slow.example', never())).toEqual([])
  expect(performance.now() - began).toBeLessThan(9_000)
  expect(asked).toBe(0)
})

test('what only the system knows is found', async () => {
  const { servers } = await nameServer(unknown)
  // An address in a spelling that no name server is asked for.
  expect(await createLookup({ servers })('2130706433', never())).toEqual([{ address: '127.0.0.1', family: 4 }])
})

test('the system is asked for one name at a time; who has waited too long does not ask', async () => {
  const { servers } = await nameServer(unknown)
  const asked: string[] = []
  const answers: (() => void)[] = []
  const system = (host: string) => new Promise<{ address: string }[]>((resolve) => asked.push(host) && answers.push(() => resolve([{ address: '127.0.0.1' }])))
  const lookup = createLookup({ servers, system })
  const impatient = new AbortController()
  const first = lookup('first', never())
  await expect.poll(() => asked).toEqual(['first'])
  const second = lookup('second', impatient.signal)
  await sleep(200)
  const third = lookup('third', never())
  await sleep(200)
  impatient.abort()
  expect(await second).toEqual([])
  expect(asked).toEqual(['first'])
  answers[0]?.()
  expect(await first).toEqual([{ address: '127.0.0.1' }])
  await expect.poll(() => asked).toEqual(['first', 'third'])
  answers[1]?.()
  expect(await third).toEqual([{ address: '127.0.0.1' }])
})
