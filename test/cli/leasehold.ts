import { execFile } from 'node:child_process'
import path from 'node:path'
import { startProgram, type RunningProgram } from '../support/program.ts'

const entry = path.join(import.meta.dirname, '../../cli/main.ts')

export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

type Environment = Readonly<Record<string, string>>

/** Runs `leasehold` in an environment of its own. */
export const leasehold = (env: Environment, ...args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(process.execPath, [entry, ...args], { env: { PATH: process.env['PATH'], ...env } }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })

/** For commands that wait for somebody. */
export const startLeasehold = (env: Environment, ...args: string[]): RunningProgram => startProgram(process.execPath, [entry, ...args], env)

/** The URL that `leasehold login --no-browser` prints. */
export async function printedUrl(program: RunningProgram): Promise<string> {
  const ended = program.ended.then((code) => {
    throw new Error(`it ended with ${code}: ${program.output()}`)
  })
  const printed = async (): Promise<string> => {
    for (;;) {
      const [line] = /^http\S+(?=\n)/.exec(program.output()) ?? []
      if (line !== undefined) return line
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  return Promise.race([printed(), ended])
}
