import { spawn } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import path from 'node:path'
import { readIdentity } from '#connector/identity-file.ts'
import { writePrivate, type Home } from './home.ts'
import type { ServerContext } from './servers.ts'
import { stackUrls } from './urls.ts'

const entry = path.join(path.dirname(import.meta.dirname), 'connector/main.ts')

const connectorHome = (home: Home): string => home.file('connector')

export const hasJoined = (home: Home): boolean => (readIdentity(connectorHome(home))?.joined ?? null) !== null

/** Joins the demo connector once. @param token handed over in a private file and gone after that */
export async function joinConnector({ home, ports }: ServerContext, token: string): Promise<void> {
  const tokenFile = home.file('connector-join-token')
  writePrivate(tokenFile, token)
  const args = [entry, '--home', connectorHome(home), 'join', '--url', stackUrls(ports).api, '--token-file', tokenFile, '--allow', `127.0.0.1:${ports.target}`]
  try {
    const joining = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 60_000,
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '', HOME: home.path },
    })
    let words = ''
    joining.stderr.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-2_000)
    })
    const code = await new Promise<number | null>((resolve, reject) => joining.once('error', reject).once('close', resolve))
    if (code !== 0) throw new Error(`the connector could not join: ${words.trim() || 'it took too long'}`)
  } finally {
    rmSync(tokenFile, { force: true })
  }
}

export async function startConnector({ home, add }: ServerContext): Promise<void> {
  const readyFile = path.join(connectorHome(home), 'ready')
  const program = add({
    name: 'connector',
    role: 'connector',
    command: process.execPath,
    args: [entry, '--home', connectorHome(home), 'run'],
    stopSignal: 'SIGTERM',
    ready: async () => existsSync(readyFile),
  })
  await program.up()
}
