import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'

/**
 * Asks for something that nobody must see: on a terminal without showing what is typed, else the first line of stdin. Never an
 * argument or a variable, which other programs could read.
 *
 * @throws Error when there is nothing to read
 */
export async function readSecret(question: string): Promise<string> {
  const secret = process.stdin.isTTY ? await ask(question) : ((await text(process.stdin)).split(/\r?\n/)[0] ?? '')
  if (secret === '') throw new Error('nothing was entered')
  return secret
}

async function ask(question: string): Promise<string> {
  process.stderr.write(question)
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true })
  try {
    return await terminal.question('')
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
