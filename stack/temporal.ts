import { existsSync, mkdirSync, statSync } from 'node:fs'
import { readJson, writePrivate, type Home } from './home.ts'
import type { Ports } from './ports.ts'
import type { Program } from './process.ts'

export const temporalNamespace = 'leasehold'

const searchAttributes = {
  LeaseholdAccount: 'Keyword',
  LeaseholdVault: 'Keyword',
  LeaseholdIdentity: 'Keyword',
  LeaseholdSubject: 'Keyword',
  LeaseholdState: 'Keyword',
  LeaseholdMode: 'Keyword',
  LeaseholdConnector: 'Keyword',
  LeaseholdExpiresAt: 'Datetime',
  LeaseholdPendingSince: 'Datetime',
  LeaseholdNeedsAttention: 'Bool',
  LeaseholdBreakGlass: 'Bool',
}

/** @param timeSkipping lets tests move the clock of one workflow; never on outside of tests */
export function temporalProgram(home: Home, command: string, ports: Ports, timeSkipping: boolean): Program {
  mkdirSync(home.file('temporal'), { recursive: true })
  return {
    name: 'temporal',
    role: 'temporal',
    port: ports.temporal,
    command,
    stopSignal: 'SIGTERM',
    args: [
      'server',
      'start-dev',
      '--ip',
      '127.0.0.1',
      '--port',
      String(ports.temporal),
      '--http-port',
      String(ports.temporalHttp),
      '--ui-port',
      String(ports.temporalUi),
      '--namespace',
      temporalNamespace,
      '--db-filename',
      home.file('temporal', 'temporal.db'),
      // Twice the rate of the default, and nothing lost on kill -9.
      '--sqlite-pragma',
      'journal_mode=wal',
      '--sqlite-pragma',
      'synchronous=1',
      '--log-level',
      'warn',
      '--log-format',
      'json',
      ...Object.entries(searchAttributes).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
      ...(timeSkipping ? ['--dynamic-config-value', 'frontend.WorkflowTimeSkippingEnabled=true'] : []),
    ],
    ready: () => isOurs(home, ports.temporalHttp),
  }
}

interface KnownNamespace {
  readonly id: string
  /** The database file that it was made in. */
  readonly database?: string
}

/**
 * The id of the namespace is made once, with the database file; a foreign server has another one. So has our own after its
 * database was lost, which Leasehold recovers from: then the file is another one too.
 */
async function isOurs(home: Home, httpPort: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/api/v1/namespaces/${temporalNamespace}`, { redirect: 'error', signal: AbortSignal.timeout(1_000) })
  if (response.status !== 200) return false
  const { namespaceInfo } = (await response.json()) as { namespaceInfo: { id: string } }
  const database = fileIdentity(home.file('temporal', 'temporal.db'))
  if (database === undefined) return false
  const file = home.file('temporal', 'namespace.json')
  const known = existsSync(file) ? readJson<KnownNamespace>(file) : undefined
  if (known?.id === namespaceInfo.id && known.database === database) return true
  if (known !== undefined && known.id !== namespaceInfo.id && known.database === database) return false
  writePrivate(file, { id: namespaceInfo.id, database } satisfies KnownNamespace)
  return true
}

/** Inode and time of birth: a file that was deleted and made anew often gets the same inode. */
function fileIdentity(file: string): string | undefined {
  const facts = statSync(file, { throwIfNoEntry: false })
  return facts && `${facts.ino}:${facts.birthtimeMs}`
}
