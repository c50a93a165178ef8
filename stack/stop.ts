import { askSupervisor } from './control.ts'
import { homePath, readHome } from './home.ts'
import { untilGone } from './until-gone.ts'

/** `npm stop`: returns when the stack of this home is gone. Nothing to stop is no error. */
async function main(): Promise<void> {
  const home = readHome(homePath())
  const status = home && (await askSupervisor(home, { do: 'stop' }).catch(() => undefined))
  if (status !== undefined) await untilGone(status)
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'failed'}\n`)
  process.exit(1)
})
