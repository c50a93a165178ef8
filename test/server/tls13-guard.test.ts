import { once } from 'node:events'
import { connect, type AddressInfo, createServer as createTcpServer } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { judgeServerHello, startTls13Guard } from '#server/tls13-guard.ts'

/** A record with a ServerHello (RFC 8446, 4.1.3) up to the cipher suite, and whatever follows. */
function serverHello({ suite = 0x1301, sessionId = 32, type = 0x16, handshake = 0x02, length = 122 } = {}): Buffer {
  const head = Buffer.from([type, 3, 3, length >> 8, length & 255, handshake, 0, 0, length - 4, 3, 3])
  return Buffer.concat([
    head,
    Buffer.alloc(32, 7),
    Buffer.from([sessionId]),
    Buffer.alloc(sessionId, 9),
    Buffer.from([suite >> 8, suite & 255]),
    Buffer.alloc(8),
  ])
}

describe('what a server says first', () => {
  test.each<[string, Buffer, string]>([
    ['TLS_AES_128_GCM_SHA256', serverHello(), 'tls-1.3'],
    ['TLS_CHACHA20_POLY1305_SHA256 without a session id', serverHello({ suite: 0x1303, sessionId: 0 }), 'tls-1.3'],
    ['ECDHE-ECDSA-AES256-GCM-SHA384, a suite of TLS 1.2', serverHello({ suite: 0xc02c }), 'refused'],
    ['a suite of TLS 1.2 without a session id', serverHello({ suite: 0xc02f, sessionId: 0 }), 'refused'],
    ['an alert, after which a ServerHello could come', Buffer.from([0x15, 3, 3, 0, 2, 1, 112]), 'refused'],
    ['another handshake message', serverHello({ handshake: 0x0b }), 'refused'],
    ['a record that ends before the suite', serverHello({ length: 60 }), 'refused'],
    ['a session id that is too long', serverHello({ sessionId: 40 }), 'refused'],
    ['words in the clear', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'refused'],
    ['nothing yet', Buffer.alloc(0), 'unfinished'],
  ])('%s', (_what, bytes, verdict) => {
    expect(judgeServerHello(bytes)).toBe(verdict)
  })

  test('is judged alike however it is cut into pieces', () => {
    for (const hello of [serverHello(), serverHello({ suite: 0xc02c })]) {
      const verdicts = Array.from({ length: hello.length + 1 }, (_, length) => judgeServerHello(hello.subarray(0, length)))
      const first = verdicts.findIndex((verdict) => verdict !== 'unfinished')
      expect(new Set(verdicts.slice(first))).toEqual(new Set([judgeServerHello(hello)]))
    }
  })

  test('is never taken for TLS 1.3 unless a suite of TLS 1.3 stands where the suite stands', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const buffer = Buffer.from(bytes)
        if (judgeServerHello(buffer) === 'tls-1.3') expect(buffer[44 + (buffer[43] as number)]).toBe(0x13)
      }),
    )
  })
})

test('the guard leads to its one server and to no other', async () => {
  const server = createTcpServer((socket) => socket.end(serverHello())).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const guard = await startTls13Guard(target)
  const ask = async (where: string): Promise<string> => {
    const socket = connect(Number(guard.address.split(':')[1]), '127.0.0.1')
    socket.write(`CONNECT ${where} HTTP/1.1\r\nhost: ${where}\r\n\r\n`)
    let text = ''
    for await (const chunk of socket.setEncoding('latin1')) text += chunk as string
    return text
  }
  expect(await ask(target)).toMatch(/^HTTP\/1.1 200 OK\r\n\r\n\x16/)
  expect(await ask('127.0.0.1:1')).toBe('')
  guard.close()
  await new Promise((resolve) => server.close(resolve))
})
