import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'

/** Keycloak's own distribution, as Maven Central has it. */
const artifact = 'org.keycloak:keycloak-quarkus-dist:26.7.3:zip'
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
export function findKeycloak(cache: string): KeycloakProgram | string {
  const java = process.env['JAVA_HOME'] === undefined ? 'java' : path.join(process.env['JAVA_HOME'], 'bin/java')
  const { stderr, error } = spawnSync(java, ['-version'], { encoding: 'utf8' })
  if (error !== undefined) return 'java is not installed'
  if (Number(/version "(\d+)/.exec(stderr)?.[1]) < 17) return 'Keycloak needs Java 17 or newer'
  const digest = createHash('sha256')
    .update(`${sha256} ${buildOptions.join(' ')}`)
    .digest('hex')
    .slice(0, 16)
  const place = path.join(cache, `keycloak-${digest}`)
  if (existsSync(place)) return { java, lib: path.join(place, 'lib') }
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(path.join(cache, '.fetch-'))
  try {
    const missing = fetchZip(work)
    if (missing !== undefined) return missing
    build(java, unpack(work), place)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return { java, lib: path.join(place, 'lib') }
}

function fetchZip(work: string): string | undefined {
  const args = ['--batch-mode', '--quiet', '-Dstyle.color=never', `${plugin}:copy`, `-Dartifact=${artifact}`, `-DoutputDirectory=${work}`]
  const { status, error, stdout } = spawnSync('mvn', args, { cwd: work, encoding: 'utf8', timeout: 300_000 })
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') return 'mvn is not installed'
  const reason = stdout.split('\n').find((line) => line.includes('ERROR'))
  return status === 0 ? undefined : `mvn cannot fetch ${artifact}: ${reason ?? error?.message ?? status}`
}

function unpack(work: string): string {
  const [, name = '', version = ''] = artifact.split(':')
  const zip = path.join(work, `${name}-${version}.zip`)
  if (createHash('sha256').update(readFileSync(zip)).digest('hex') !== sha256) throw new Error(`${name} is not the file that is locked`)
  run('python3', ['-m', 'zipfile', '--extract', zip, work])
  return path.join(work, `keycloak-${version}`)
}

function build(java: string, home: string, place: string): void {
  run(java, [...javaOptions(home, path.join(home, 'lib')), 'build', ...buildOptions])
  mkdirSync(`${place}.next`)
  cpSync(path.join(home, 'lib'), path.join(`${place}.next`, 'lib'), { recursive: true })
  renameSync(`${place}.next`, place)
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

function run(command: string, args: readonly string[]): void {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 180_000 })
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? (stderr + stdout).slice(-2_000)}`)
}
