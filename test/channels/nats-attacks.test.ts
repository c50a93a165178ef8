import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { accountId, channel, notice, sender } from './world.ts'

/** What calls itself a NATS server is anybody's program. */

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

const info = 'INFO {"server_id":"a","version":"2.10.0","proto":1,"headers":true,"max_payload":1000000}\r\n'

/** A program that does something with each connection. `heard` is all that it was told; `left` waits until nobody is connected. */
async function receiver(behave: (socket: Socket) => void) {
  const heard: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', (part) => heard.push(part.toString()))
    behave(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const connections = () => new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)))
  ends.push(() => server.close())
  return {
    heard,
    left: () => vi.waitFor(async () => expect(await connections()).toBe(0), 1_000),
    send: (protocol = 'nats') => {
      const { port } = server.address() as AddressInfo
      const target = channel('nats', { url: `${protocol}://127.0.0.1:${port}`, subject: 'notices', username: 'mia', password: 'planted-password' })
      return sender(['127.0.0.0/8'])(accountId, notice(), target)
    },
  }
}

test('who accepts and says nothing is left after 10 s, in every state of the connection', async () => {
  const states = [() => {}, (socket: Socket) => void socket.write(info), (socket: Socket) => void socket.write('INFO {')]
  const receivers = await Promise.all(states.map(receiver))
  const outcomes = await Promise.all(receivers.flatMap(({ send }) => [send(), send('tls')]))
  expect(outcomes).toEqual(outcomes.map(() => ({ state: 'refused', receipt: 'timeout' })))
  await Promise.all(receivers.map(({ left }) => left()))
})

test.each([
  ['before it was told anything', 'INFO '],
  ['as answers', `${info}PONG\r\n`],
])('who talks without end is not listened to: %s', async (_, opening) => {
  let spoken = 0
  const { send, left } = await receiver((socket) => {
    const part = Buffer.alloc(65_536, 'A')
    const talk = () => {
      while (socket.writable && socket.write(part)) spoken += part.length
    }
    socket.write(opening)
    socket.on('drain', talk)
    talk()
  })
  const began = performance.now()
  expect(await send()).toEqual({ state: 'refused', receipt: 'nats-talks-too-much' })
  await left()
  expect(performance.now() - began).toBeLessThan(3_000)
  // What the network of this machine holds between the two.
  expect(spoken).toBeLessThan(20_000_000)
})

test('the words of a receiver are in no receipt and in no log', async () => {
  const words = '{"level":50,"msg":"planted by a receiver"}\n'
  const said: unknown[] = []
  const spies = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write').mockImplementation((part) => said.push(part) > 0))
  const logs = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((...parts) => void said.push(...parts)),
  )
  const openings = [words, `INFO [${words}`, `INFO {"headers":"${words}`, `-ERR '${words.trim()}'\r\n`, info]
  const outcomes = await Promise.all(
    openings.map(async (opening) => {
      const { send } = await receiver((socket) => {
        socket.write(opening)
        socket.once('data', () => socket.write(`PONG\r\n${words}`))
      })
      return send()
    }),
  ).finally(() => [...spies, ...logs].forEach((spy) => spy.mockRestore()))
  expect(outcomes.map(({ receipt }) => receipt)).toEqual([
    'nats-misunderstood',
    'nats-misunderstood',
    'nats-misunderstood',
    'nats-login-refused',
    'nats-misunderstood',
  ])
  expect(said.map(String).filter((part) => part.includes('planted'))).toEqual([])
})

test('a refusal before the server has the message is none of it', async () => {
  const { send } = await receiver((socket) => {
    socket.write(info)
    socket.on('data', (part) => {
      if (part.includes('CONNECT')) socket.write('PING\r\nPONG\r\n')
      if (part.includes('HPUB')) socket.write("-ERR 'Permissions Violation for Publish'\r\nPONG\r\n")
    })
  })
  expect(await send()).toEqual({ state: 'refused', receipt: 'nats-publish-refused' })
})

test('a server that hangs up has nothing', async () => {
  const { send, left } = await receiver((socket) => {
    socket.write(info)
    socket.on('data', (part) => (part.includes('HPUB') ? socket.end() : socket.write('PONG\r\n')))
  })
  expect(await send()).toEqual({ state: 'refused', receipt: 'connection-ended' })
  await left()
})

test('where TLS is asked for, nobody hears a password without it', async () => {
  const { send, heard, left } = await receiver((socket) => {
    // Answers from before TLS are not answers of whoever has the certificate.
    socket.write(`${info}PONG\r\nPONG\r\n`)
    socket.on('data', () => socket.write('PONG\r\nPONG\r\n'))
  })
  expect(await send('tls')).toMatchObject({ state: 'refused', receipt: expect.stringMatching(/SSL|EPROTO/) })
  expect(heard.join()).not.toMatch(/CONNECT|planted-password/)
  await left()
})
