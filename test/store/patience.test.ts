import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { again, Silence, within } from '#store/patience.ts'

const server = createServer((socket) => socket.on('error', () => {}).pipe(socket))
let socket: Socket
beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
})
afterAll(() => {
  socket.destroy()
  server.close()
})

function beBusy(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

describe('an answer', () => {
  test('that arrived while the process was busy is not late', async () => {
    // The echo is made by this process too: it is in the socket before the process gets busy.
    const echoed = once(server, 'connection').then(([peer]) => once(peer as Socket, 'data'))
    const other = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const answer = within(once(other, 'data'), 100)
    other.write('x')
    await echoed
    beBusy(300)
    expect(String(await answer)).toBe('x')
    other.destroy()
  })

  test('that does not come is missed at the limit', async () => {
    const began = performance.now()
    await expect(within(once(socket, 'data'), 100)).rejects.toThrow(Silence)
    expect(performance.now() - began).toBeLessThan(1_000)
  })
})

describe('an attempt', () => {
  const attempts = (during: () => unknown) => {
    let count = 0
    const attempt = async () => {
      count += 1
      await during()
      if (count === 1) throw new Error('too slow')
      return count
    }
    return again(attempt)
  }

  test('that failed while the process had no time for it is made once more', async () => {
    expect(await attempts(() => beBusy(200))).toBe(2)
  })

  test('that failed while the process listened is over', async () => {
    await expect(attempts(() => sleep(200))).rejects.toThrow('too slow')
  })
})
