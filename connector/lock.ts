import { createHash } from 'node:crypto'
import { realpathSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

/**
 * Lets one process at a time use a home: two with one identity would answer for each other's jobs. A listening socket and
 * not a file with a process id, because the system ends it with its process.
 *
 * @returns releases the home
 * @throws Error when another process has it
 */
export async function lockHome(home: string): Promise<() => void> {
  const name = createHash('sha256').update(realpathSync(home)).digest('hex').slice(0, 24)
  const socket = path.join(tmpdir(), `leasehold-connector-${name}.sock`)
  const server = (await listen(socket)) ?? ((await answers(socket)) ? undefined : await takeOver(socket))
  if (server === undefined) throw new Error('another connector process runs on this home')
  server.unref()
  return () => void server.close()
}

function listen(socket: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((peer) => peer.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen(socket, () => resolve(server))
  })
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const peer = connect(socket)
    peer.once('connect', () => resolve(true)).once('error', () => resolve(false))
    peer.once('close', () => peer.destroy())
  })
}

/** The one that left the socket behind is dead. */
async function takeOver(socket: string): Promise<Server | undefined> {
  rmSync(socket, { force: true })
  return listen(socket)
}
