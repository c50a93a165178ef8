import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import type { Home } from './home.ts'
import type { StackStatus } from './supervisor.ts'

/** What may be asked of a running supervisor, one JSON line each way over a Unix socket that only its owner may open. */
export type ControlRequest =
  | { readonly do: 'status' }
  | { readonly do: 'stop' }
  | { readonly do: 'kill'; readonly name: string; readonly signal: NodeJS.Signals }
  | { readonly do: 'hold'; readonly name: string; readonly signal: NodeJS.Signals }
  | { readonly do: 'restart'; readonly name: string; readonly once?: Readonly<Record<string, string>> }

export type ControlAnswer = { readonly ok: true; readonly status: StackStatus } | { readonly ok: false; readonly error: string }

const longestRequest = 1_000

/** @throws Error when another supervisor works on this home */
export async function listenForControl(home: Home, answer: (request: ControlRequest) => Promise<StackStatus>): Promise<Server> {
  if (
    await askSupervisor(home, { do: 'status' }).then(
      () => true,
      () => false,
    )
  )
    throw new Error('a stack is running in this home already')
  rmSync(home.socket, { force: true })
  const server = createServer((socket) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.on('error', () => {})
    socket.on('data', (part: string) => {
      text += part
      if (text.length > longestRequest) socket.destroy()
      if (!text.includes('\n')) return
      const line = text.slice(0, text.indexOf('\n'))
      text = ''
      const reply = (value: ControlAnswer): void => void socket.end(`${JSON.stringify(value)}\n`)
      Promise.resolve()
        .then(() => answer(JSON.parse(line) as ControlRequest))
        .then(
          (status) => reply({ ok: true, status }),
          (error: unknown) => reply({ ok: false, error: error instanceof Error ? error.message : 'failed' }),
        )
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(home.socket, () => resolve())
  })
  chmodSync(home.socket, 0o600)
  return server
}

/** @throws Error when no supervisor answers, or with its refusal */
export function askSupervisor(home: Home, request: ControlRequest, limitMs = 30_000): Promise<StackStatus> {
  return new Promise((resolve, reject) => {
    const socket = connect(home.socket)
    let text = ''
    socket.setEncoding('utf8')
    socket.setTimeout(limitMs, () => socket.destroy(new Error('the supervisor does not answer')))
    socket.once('error', reject)
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`))
    socket.on('data', (part: string) => {
      text += part
    })
    socket.on('close', () => {
      if (text === '') return reject(new Error('the supervisor went away'))
      const answer = JSON.parse(text) as ControlAnswer
      if (answer.ok) resolve(answer.status)
      else reject(new Error(answer.error))
    })
  })
}
