import type { ClientChannel } from 'ssh2'
import type { SshConnection } from './ssh-login.ts'

/** A running command on a target. */
export interface SshCommand {
  /** Sends the whole input and ends it. */
  readonly feed: (input: string | Buffer) => void
  /** @returns undefined: the connection or `limitMs` ended first */
  readonly exit: (limitMs: number) => Promise<SshExit | undefined>
}

export interface SshExit {
  /** null: ended by a signal. */
  readonly code: number | null
  /** The beginning of what it said on stderr: to be judged, never to be repeated. */
  readonly words: string
  /** What it said on stdout, as far as it was to be kept. */
  readonly output: Buffer
}

const remembered = 2_000

/**
 * Starts a command without a terminal: what is fed to it is never echoed.
 *
 * @param keep bytes of its stdout to be kept; the rest is read and forgotten
 * @returns why not: `refused` by the server, or `gone`
 */
export async function startCommand({ client }: SshConnection, text: string, limitMs: number, keep = 0): Promise<SshCommand | 'refused' | 'gone'> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => resolve('gone'), limitMs)
    const settle = (result: SshCommand | 'refused' | 'gone'): void => {
      clearTimeout(limit)
      resolve(result)
    }
    client.once('close', () => settle('gone'))
    try {
      client.exec(text, (error, channel) => settle(error === undefined ? follow(channel, client, keep) : 'refused'))
    } catch {
      // The connection ended between its login and now.
      settle('gone')
    }
  })
}

function follow(channel: ClientChannel, client: SshConnection['client'], keep: number): SshCommand {
  let words = ''
  const parts: Buffer[] = []
  let kept = 0
  let code: number | null | undefined
  const ended = new Promise<void>((resolve) => {
    channel.once('exit', (status: number | null) => {
      code = status
      // The last words may come after it; something that was left running may hold the channel open for ever.
      setTimeout(resolve, 500)
    })
    channel.once('close', resolve)
    client.once('close', resolve)
  })
  channel.on('error', () => {})
  channel.on('data', (bytes: Buffer) => {
    if (kept < keep) parts.push(bytes.subarray(0, keep - kept))
    kept += bytes.length
  })
  channel.stderr.on('data', (bytes: Buffer) => {
    words = (words + bytes.toString('latin1')).slice(0, remembered)
  })
  return {
    feed: (input) => void channel.end(input),
    exit: async (limitMs) => {
      let limit: NodeJS.Timeout | undefined
      const tooLong = new Promise<void>((resolve) => {
        limit = setTimeout(resolve, limitMs)
      })
      await Promise.race([ended, tooLong])
      clearTimeout(limit)
      return code === undefined ? undefined : { code, words, output: Buffer.concat(parts) }
    },
  }
}
