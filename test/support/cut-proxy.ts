import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/**
 * pass: as it should be; freeze: nothing moves, nothing closes; stall: what is sent arrives when it passes again; mute: what the
 * server says is lost, what it is told arrives; closed: connections are cut and refused.
 */
export type ProxyMode = 'pass' | 'freeze' | 'stall' | 'mute' | 'closed'

/** A TCP proxy between us and a server, that can be made as bad as a network gets. */
export interface CutProxy {
  readonly port: number
  /** How many came so far. */
  readonly connections: () => number
  /** How many pieces of what the server said came through so far. */
  readonly pieces: () => number
  set(mode: ProxyMode): Promise<void>
  end(): Promise<void>
}

/** @param freezeAfter pieces of what the server says that come through before it freezes */
export async function startCutProxy(target: { readonly host: string; readonly port: number }, freezeAfter = Infinity): Promise<CutProxy> {
  let mode: ProxyMode = 'pass'
  let connections = 0
  let pieces = 0
  const sockets = new Set<Socket>()
  const server = createServer((downstream) => {
    connections++
    if (mode === 'closed') return void downstream.destroy()
    const upstream = connect(target)
    for (const [from, to] of [
      [downstream, upstream],
      [upstream, downstream],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('data', (chunk) => {
        if (mode === 'pass' || (mode === 'mute' && from === downstream)) to.write(chunk)
        if (mode === 'pass' && from === upstream && ++pieces >= freezeAfter) mode = 'freeze'
      })
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    pieces: () => pieces,
    set: async (next) => {
      mode = next
      if (next === 'closed') cut()
      for (const socket of sockets) {
        if (next === 'stall') socket.pause()
        else socket.resume()
      }
    },
    end: async () => {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
