import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { stripVTControlCharacters } from 'node:util'

/** Keycloak's own distribution, as Maven Central has it. */
const [group, name, version] = ['org.keycloak', 'keycloak-quarkus-dist', '26.7.3']
const sha256 = '27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f'
const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1'
/** What is decided when the server is built; the rest at its start. */
const buildOptions = ['--db=dev-mem', '--features-disabled=ciba,device-flow']

/** A Keycloak that is built and ready to start. */
export interface KeycloakProgram {
  readonly java: string
  /** Its `lib` folder. */
  readonly lib: string
}

/**
 * Finds Keycloak in the cache, or fetches it with Maven and builds it there, which takes half a minute once.
 *
 * @returns why this machine cannot have it, where it cannot
 * @throws Error when the file is not the one that we know, or the server cannot be built
 */
export async function findKeycloak(cache: string): Promise<KeycloakProgram | string> {
  const java = process.env['JAVA_HOME'] === undefined ? 'java' : path.join(process.env['JAVA_HOME'], 'bin/java')
  const { absent, output } = await run(java, ['-version'])
  if (absent) return 'java is not installed'
  if (!(Number(/version "(\d+)/.exec(output)?.[1]) >= 17)) return 'Keycloak needs Java 17 or newer'
  const digest = createHash('sha256')
    .update(`${sha256} ${buildOptions.join(' ')}`)
    .digest('hex')
    .slice(0, 16)
  const place = path.join(cache, `keycloak-${digest}`)
  if (!existsSync(place)) {
    await mkdir(cache, { recursive: true })
    const work = await mkdtemp(path.join(cache, '.fetch-'))
    try {
      const missing = await fetchZip(work)
      if (missing !== undefined) return missing
      await build(java, await unpack(work), place)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }
  return { java, lib: path.join(place, 'lib') }
}

async function fetchZip(work: string): Promise<string | undefined> {
  const artifact = `${group}:${name}:${version}:zip`
  const args = ['--batch-mode', '--quiet', `${plugin}:copy`, `-Dartifact=${artifact}`, `-DoutputDirectory=${work}`]
  const { absent, failed, output } = await run('mvn', args, work)
  if (absent) return 'mvn is not installed'
  const reason = output.split('\n').find((line) => line.includes('ERROR'))
  return failed ? `mvn cannot fetch ${artifact}: ${reason ?? 'it does not come to an end'}` : undefined
}

async function unpack(work: string): Promise<string> {
  const zip = path.join(work, `${name}-${version}.zip`)
  const found = createHash('sha256')
    .update(await readFile(zip))
    .digest('hex')
  if (found !== sha256) throw new Error(`${name} is not the file that is locked`)
  await succeed('python3', ['-m', 'zipfile', '--extract', zip, work])
  return path.join(work, `keycloak-${version}`)
}

async function build(java: string, home: string, place: string): Promise<void> {
  await succeed(java, [...javaOptions(home, path.join(home, 'lib')), 'build', ...buildOptions])
  const next = `${home}.next`
  await cp(path.join(home, 'lib'), path.join(next, 'lib'), { recursive: true })
  await rename(next, place)
}

/** What `kc.sh` would pass, with little memory and a quick start. @param home where it keeps its data */
export const javaOptions = (home: string, lib: string): string[] => [
  '-Xmx512m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  `-Dkc.home.dir=${home}`,
  ...['java.util', 'java.util.concurrent', 'java.security', 'java.lang'].map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`),
  '-cp',
  path.join(lib, 'quarkus-run.jar'),
  'io.quarkus.bootstrap.runner.QuarkusEntryPoint',
]

interface Outcome {
  readonly absent: boolean
  readonly failed: boolean
  readonly output: string
}

const run = (command: string, args: readonly string[], cwd?: string): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(command, args, { cwd, timeout: 180_000 }, (error, out, err) =>
      resolve({ absent: error?.code === 'ENOENT', failed: error !== null, output: stripVTControlCharacters(err + out) }),
    )
  })

async function succeed(command: string, args: readonly string[]): Promise<void> {
  const { failed, output } = await run(command, args)
  if (failed) throw new Error(`${command} failed: ${output.slice(-2_000)}`)
}
