import type { ClientChannel } from 'ssh2'
import type { SshConnection } from './ssh-login.ts'

/** A program on a target that asks its questions on a terminal, which echoes nothing. */
export interface SshTerminal {
  /**
   * Waits for a question: the end of what it has said since the last answer.
   *
   * @returns the name of the question, `ended` with the program, or `silence` after `limitMs` or with the connection
   */
  readonly question: <Name extends string>(questions: Readonly<Record<Name, RegExp>>, limitMs: number) => Promise<Name | 'ended' | 'silence'>
  /** Answers with one line. */
  readonly answer: (line: string) => void
  /** What it has said since the last answer: to be judged, never to be repeated. */
  readonly words: () => string
  /** null: by a signal; undefined: it has not ended, or nobody heard it. */
  readonly exitCode: () => number | null | undefined
}

const remembered = 4_000

/** @returns why not: `refused` by the server, or `gone` */
export async function openTerminal({ client }: SshConnection, command: string, limitMs: number): Promise<SshTerminal | 'refused' | 'gone'> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => resolve('gone'), limitMs)
    const settle = (result: SshTerminal | 'refused' | 'gone'): void => {
      clearTimeout(limit)
      resolve(result)
    }
    client.once('close', () => settle('gone'))
    try {
      const pty = { term: 'dumb', cols: 500, rows: 24, modes: { ECHO: 0, ECHONL: 0 } } as const
      client.exec(command, { pty }, (error, channel) => settle(error === undefined ? follow(channel, client) : 'refused'))
    } catch {
      // The connection ended between its login and now.
      settle('gone')
    }
  })
}

function follow(channel: ClientChannel, client: SshConnection['client']): SshTerminal {
  let words = ''
  let code: number | null | undefined
  let isOver = false
  let look = (): void => {}
  const end = (): void => {
    isOver = true
    look()
  }
  channel.on('error', () => {})
  for (const stream of [channel, channel.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      words = (words + bytes.toString('latin1').replaceAll('\r', '')).slice(-remembered)
      look()
    })
  }
  channel.once('exit', (status: number | null) => {
    code = status
    // The last words may come after it.
    setTimeout(end, 200)
  })
  channel.once('close', end)
  client.once('close', end)
  return {
    words: () => words,
    exitCode: () => code,
    answer: (line) => {
      words = ''
      channel.write(`${line}\n`)
    },
    question: (questions, limitMs) =>
      new Promise((resolve) => {
        const limit = setTimeout(() => settle('silence'), limitMs)
        const settle = (found: keyof typeof questions | 'ended' | 'silence'): void => {
          clearTimeout(limit)
          look = () => {}
          resolve(found)
        }
        look = () => {
          const names = Object.keys(questions) as (keyof typeof questions)[]
          const asked = names.find((name) => questions[name].test(words))
          if (asked !== undefined) settle(asked)
          else if (isOver) settle(code === undefined ? 'silence' : 'ended')
        }
        look()
      }),
  }
}
