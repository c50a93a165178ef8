import createClient from 'node-vault'
import { OpenBaoRefusal, strictRequest, unavailable } from './bao-request.ts'
import { refuseSwitches } from './environment.ts'
import { sealType } from './seal.ts'

export interface OpenBaoOptions {
  /** Base URL, without a path. */
  readonly url: string
  /** AppRole of this process; its policy is the least that the process role needs. */
  readonly roleId: string
  readonly secretId: string
  /** Checks certificates as the process was told; absent: the fetch of Node. */
  readonly fetch?: typeof fetch | undefined
  /** A server whose seal key lies in a file is as good as none. */
  readonly refuseStaticSeal?: boolean
}

/** Segments of a path below /v1/, e.g. `['leasehold', 'data', 'temporal', '1']`. */
export type BaoPath = readonly string[]

export interface OpenBao {
  /** @returns the `data` of the answer; undefined when there is nothing at this path */
  read<T>(path: BaoPath): Promise<T | undefined>
  /** @returns the `data` of the answer */
  write<T>(path: BaoPath, body: object): Promise<T>
  /** @returns the names below this path; none when there is nothing */
  list(path: BaoPath): Promise<string[]>
}

interface Answer {
  readonly data?: unknown
  readonly auth?: { readonly client_token: string; readonly lease_duration: number }
}
interface VaultClient {
  token: string
  read(path: string): Promise<Answer>
  write(path: string, body: object): Promise<Answer | undefined>
  list(path: string): Promise<Answer>
}

/**
 * A client of one AppRole. It logs in at the first call, renews by logging in again before the token ends, and once more
 * when OpenBao says 403, because a token may have been revoked. Every call may throw LeaseholdError
 * `dependency-unavailable` (role openbao), also when OpenBao refuses the login, and OpenBaoRefusal.
 *
 * @throws Error when the environment holds a switch that would weaken node-vault
 */
export function createOpenBao({ url, roleId, secretId, fetch: reach = fetch, refuseStaticSeal = false }: OpenBaoOptions): OpenBao {
  refuseSwitches(process.env)
  const client = newClient(new URL(url).origin, strictRequest(reach))
  let goodUntil = 0
  let login: Promise<void> | undefined

  async function logIn(): Promise<void> {
    if (refuseStaticSeal && (await sealType(url, reach)) === 'static') throw unavailable({ name: 'static seal' })
    const { auth } = (await client.write('auth/approle/login', { role_id: roleId, secret_id: secretId }).catch(loginRefused)) ?? {}
    if (auth === undefined) throw unavailable()
    client.token = auth.client_token
    goodUntil = performance.now() + auth.lease_duration * 800
  }

  /** One login at a time, however many calls wait for it. */
  const renew = (): Promise<void> => (login ??= logIn().finally(() => (login = undefined)))

  async function withToken<T>(call: () => Promise<T>): Promise<T> {
    if (performance.now() >= goodUntil) await renew()
    const { token } = client
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof OpenBaoRefusal) || error.status !== 403) throw error
      if (client.token === token) await renew()
      return call()
    }
  }

  return {
    read: <T>(path: BaoPath) => withToken(async () => (await client.read(join(path))).data as T | undefined).catch(absent(undefined)),
    write: <T>(path: BaoPath, body: object) => withToken(async () => (await client.write(join(path), body))?.data as T),
    list: (path) => withToken(async () => ((await client.list(join(path))).data as { keys: string[] }).keys).catch(absent<string[]>([])),
  }
}

/** node-vault with our transport; it would print tokens and payloads through `debug`. */
const newClient = (endpoint: string, request: ReturnType<typeof strictRequest>): VaultClient =>
  (createClient as unknown as (options: object) => VaultClient)({
    endpoint,
    token: 'none',
    debug: () => {},
    'request-promise': { defaults: () => request },
  })

/** Stale credentials of this process are for operators to repair; to callers it is the same as no OpenBao. */
function loginRefused(error: unknown): never {
  throw error instanceof OpenBaoRefusal ? unavailable({ name: 'login refused' }) : error
}

const absent =
  <T>(value: T) =>
  (error: unknown): T => {
    if (error instanceof OpenBaoRefusal && error.status === 404) return value
    throw error
  }

/** Only what needs no encoding: `..`, `%2e`, `?` or `#` in a segment would name something else. */
function join(path: BaoPath): string {
  for (const segment of path) {
    if (!/^[A-Za-z0-9._~-]{1,200}$/.test(segment) || /^\.+$/.test(segment)) throw new TypeError('a segment of an OpenBao path has forbidden characters')
  }
  return path.join('/')
}
