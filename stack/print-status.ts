import { homePath, readHome } from './home.ts'
import { readStatus } from './read-status.ts'

/** @returns false when no stack runs, which the answer says too */
export async function printStatus(output: 'text' | 'json'): Promise<boolean> {
  const status = await readStatus(readHome(homePath())).catch(() => undefined)
  if (output === 'json') process.stdout.write(`${JSON.stringify(status ?? { state: 'stopped', urls: {}, processes: [] })}\n`)
  else process.stdout.write(status === undefined ? 'stopped\n' : text(status))
  return status !== undefined
}

function text({ state, urls, processes }: Awaited<ReturnType<typeof readStatus>>): string {
  const addresses = Object.entries(urls as unknown as Record<string, string | null>)
    .filter(([, url]) => url !== null)
    .map(([name, url]) => `  ${name.padEnd(12)} ${url}`)
  const rows = processes.map((one) => `  ${one.name.padEnd(12)} ${one.state.padEnd(9)} pid ${String(one.pid ?? '-').padEnd(8)} port ${one.port ?? '-'}`)
  return `${[state, ...addresses, ...rows].join('\n')}\n`
}
