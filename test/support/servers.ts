import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { cacheFolders, resolveProgram, serverPrograms } from '#stack/binaries.ts'
import { startGuardian } from '#stack/guardian.ts'
import { openHome, randomSecret, type Home } from '#stack/home.ts'
import { freePort } from '#stack/ports.ts'
import { resolvePostgres } from '#stack/postgres-programs.ts'
import { postgresProgram, superuserUrl } from '#stack/postgres.ts'
import { createProcess } from '#stack/process.ts'
import type { BaoRole } from '#secrets/policies.ts'
import { startOpenBao } from './openbao.ts'

let end = async (): Promise<void> => {}

/**
 * Set-up of the project `servers`: two PostgreSQL for all its files, and the programs of the other servers, which tests start
 * themselves. Tests find them in LEASEHOLD_TEST_*; a value that is given is used as it is.
 */
export async function setup(): Promise<void> {
  const home = openHome(mkdtempSync(path.join(os.tmpdir(), 'leasehold-servers-')))
  const guardian = startGuardian()
  const started: { stop(): Promise<void> }[] = []
  end = async () => {
    await Promise.all(started.map((server) => server.stop()))
    guardian.release()
    await rm(home.path, { recursive: true, force: true })
  }
  const offer = async (name: string, find: () => string | Promise<string>): Promise<void> => {
    process.env[name] ??= await find()
  }
  const startPostgres = async (name: 'postgres' | 'target'): Promise<string> => {
    const server = { name, port: await freePort(), password: randomSecret(), programs: resolvePostgres(home) }
    const program = createProcess(postgresProgram(home, server), { guardian, logs: home.file('logs'), home: home.path })
    started.push(program)
    await program.up()
    return superuserUrl(server.port, server.password)
  }
  try {
    await offer('LEASEHOLD_TEST_POSTGRES_URL', () => startPostgres('postgres'))
    await offer('LEASEHOLD_TEST_TARGET_URL', () => startPostgres('target'))
    await offer('LEASEHOLD_TEST_NATS', () => find('nats', home))
    await offer('LEASEHOLD_TEST_OPENBAO', () => find('openbao', home))
    await offer('LEASEHOLD_TEST_TEMPORAL', () => find('temporal', home))
    await offer('LEASEHOLD_TEST_OPENBAO_LOGINS', async () => {
      const bao = await startOpenBao()
      started.push(bao)
      const roles: BaoRole[] = ['leasehold-api', 'leasehold-worker', 'leasehold-bridge']
      return JSON.stringify({ url: bao.url, logins: Object.fromEntries(roles.map((role) => [role, bao.login(role)])) })
    })
  } catch (error) {
    await end()
    throw error
  }
}

export const teardown = (): Promise<void> => end()

const find = (name: keyof typeof serverPrograms, home: Home): string => resolveProgram(serverPrograms[name], cacheFolders(home))
