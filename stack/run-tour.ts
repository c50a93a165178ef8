import { apiClient } from './api-client.ts'
import { homePath, readHome, type Home } from './home.ts'
import { accessToken } from './login.ts'
import { readStatus } from './read-status.ts'
import { tour } from './tour.ts'

/** Does the tour on a running stack. @throws Error naming the step that failed */
export async function runTour(home: Home, print: (line: string) => void): Promise<void> {
  const { urls } = await readStatus(home)
  const { hostname, port } = new URL(urls.target)
  await tour({
    as: async (user) => apiClient(urls.api, await accessToken({ home: home.path, user, acr: 'mfa' })),
    target: { host: hostname, port: Number(port) },
    print,
  })
}

async function main(): Promise<void> {
  const home = readHome(homePath())
  if (home === undefined) throw new Error('no stack was started in this home; start one with npm start')
  await runTour(home, (line) => process.stdout.write(`${line}\n`))
}

if (process.argv[1] === import.meta.filename) {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : 'the tour failed'}\n`)
    process.exit(1)
  })
}
