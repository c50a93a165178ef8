import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Login, Target } from '#connector/adapters/adapter.ts'
import { createAuthority, issue } from '#stack/certificates.ts'
import { freePort } from './free-port.ts'
import { missingPrograms, openServerFolder } from './unprivileged.ts'

/** A real MariaDB with TLS on a loopback port, with data and an authority of its own; passwords have at least 8 characters. */
export interface TestMariaDb {
  readonly target: Target
  /** May do everything. */
  readonly admin: Login
  readonly create: (username?: string, how?: (login: Login) => string) => Promise<Login>
  /** By MariaDB's own client, over the local socket. @returns what it printed */
  readonly run: (statements: string) => Promise<string>
  /** Whether MariaDB's own client logs in by this password, over TCP. */
  readonly logsIn: (login: Login) => Promise<boolean>
  /** Of the general log and of the binary log, which both are on, what they remember. */
  readonly remembered: () => { readonly general: string; readonly binary: string }
  readonly end: () => Promise<void>
}

const [server, installer, client] = ['/usr/sbin/mariadbd', '/usr/bin/mariadb-install-db', '/usr/bin/mariadb'] as const

/** Why this machine cannot have one; undefined: it can. */
export const mariaDbMissing = (): string | undefined => missingPrograms([server, installer, client])

/**
 * @param options lines of the server's configuration that come after ours
 * @param names what its certificate is for
 */
export async function startMariaDb(options: readonly string[] = [], names: readonly string[] = ['127.0.0.1']): Promise<TestMariaDb> {
  const folder = openServerFolder('mariadb')
  const port = await freePort()
  const authority = await createAuthority('targets')
  const { cert, key } = await issue(authority, names)
  writeFileSync(folder.file('cert.pem'), cert)
  writeFileSync(folder.file('key.pem'), key, { mode: 0o600 })
  const settings = {
    datadir: folder.file('data'),
    socket: folder.file('s'),
    'pid-file': folder.file('pid'),
    'bind-address': '127.0.0.1',
    port,
    'ssl-cert': folder.file('cert.pem'),
    'ssl-key': folder.file('key.pem'),
    'innodb-buffer-pool-size': '8M',
    'general-log': 1,
    'general-log-file': folder.file('general.log'),
    'log-bin': folder.file('binary'),
    'server-id': 1,
    'plugin-load-add': 'simple_password_check',
    'simple-password-check-minimal-length': 8,
    ...Object.fromEntries(['digits', 'letters-same-case', 'other-characters'].map((what) => [`simple-password-check-${what}`, 0])),
  }
  writeFileSync(folder.file('my.cnf'), ['[mariadbd]', ...Object.entries(settings).map(([name, value]) => `${name}=${value}`), ...options, ''].join('\n'))
  folder.give()
  folder.run(installer, ['--no-defaults', `--datadir=${settings.datadir}`, '--auth-root-authentication-method=normal', '--skip-test-db'])
  const running = folder.start(server, [`--defaults-file=${folder.file('my.cnf')}`])

  /** Input by standard input and passwords by the environment, as arguments are visible to everybody. */
  const call = async (args: readonly string[], input: string, password?: string): Promise<{ code: number; output: string }> => {
    const env = { PATH: process.env['PATH'], ...(password === undefined ? {} : { MYSQL_PWD: password }) }
    const child = spawn(client, ['--no-defaults', '--batch', '--skip-column-names', '--default-character-set=utf8mb4', ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env,
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (output += part))
    child.stdin.end(input)
    const [code] = await once(child, 'close')
    return { code: code as number, output }
  }
  const run = async (statements: string): Promise<string> => {
    const { code, output } = await call([`--socket=${settings.socket}`, '--user=root'], statements)
    if (code !== 0) throw new Error(`mariadb: ${output}`)
    return output
  }
  for (;;) {
    if (running.child.exitCode !== null) throw new Error(`mariadbd ended: ${running.log()}`)
    if (await run('select 1;').then(Boolean, () => false)) break
    await sleep(50)
  }
  const admin = { username: 'resetter', password: randomBytes(12).toString('base64url') }
  await run(`create user resetter@'%' identified by '${admin.password}'; grant all on *.* to resetter@'%' with grant option;`)

  return {
    target: { address: '127.0.0.1', port, parameters: { ca: authority.cert } },
    admin,
    create: async (username = `a_${randomBytes(6).toString('hex')}`, how = ({ password }) => `identified by '${password}'`) => {
      const login = { username, password: randomBytes(12).toString('base64url') }
      await run(`set sql_mode = 'NO_BACKSLASH_ESCAPES'; create user '${username.replaceAll("'", "''")}'@'%' ${how(login)};`)
      return login
    },
    run,
    logsIn: async ({ username, password }) => (await call(['--host=127.0.0.1', `--port=${port}`, `--user=${username}`], 'select 1;', password)).code === 0,
    remembered: () => ({
      general: readFileSync(folder.file('general.log'), 'latin1'),
      binary: readFileSync(folder.file('binary.000001'), 'latin1'),
    }),
    end: async () => {
      await running.stop()
      folder.remove()
    },
  }
}
