import createClient from 'node-vault'
import { OpenBaoRefusal, strictRequest } from './bao-request.ts'

export interface OpenBaoOptions {
  /** Base URL, without a path. */
  readonly url: string
  /** AppRole of this process; its policy is the least that the process role needs. */
  readonly roleId: string
  readonly secretId: string
}

/** Segments of a path below /v1/, e.g. `['leasehold', 'data', 'temporal', '1']`. */
export type BaoPath = readonly string[]

export interface OpenBao {
  /** @returns the `data` of the answer; undefined when there is nothing at this path */
  read<T>(path: BaoPath): Promise<T | undefined>
  /** @returns the `data` of the answer */
  write<T>(path: BaoPath, body: object): Promise<T>
}

interface Answer { readonly data?: unknown; readonly auth?: { readonly client_token: string; readonly lease_duration: number } }
interface VaultClient {
  token: string
  read(path: string): Promise<Answer>
  write(path: string, body: object): Promise<Answer | undefined>
}

/** Switches with which node-vault would print secrets, skip certificate checks or talk to somebody else. */
const refusedSwitches = ['VAULT_SKIP_VERIFY', 'VAULT_ADDR', 'VAULT_TOKEN', 'VAULT_PREFIX', 'VAULT_NAMESPACE']

/**
 * A client of one AppRole. It logs in at the first call, renews by logging in again before the token ends, and once more
 * when OpenBao says 403, because a token may have been revoked.
 *
 * @throws Error when the environment holds a switch that would weaken node-vault
 */
export function createOpenBao({ url, roleId, secretId }: OpenBaoOptions): OpenBao {
  refuseSwitches(process.env)
  const client = (createClient as unknown as (options: object) => VaultClient)({ endpoint: new URL(url).origin, token: 'none', 'request-promise': { defaults: () => strictRequest } })
  let goodUntil = 0
  let login: Promise<void> | undefined

  async function logIn(): Promise<void> {
    const { auth } = (await client.write('auth/approle/login', { role_id: roleId, secret_id: secretId })) ?? {}
    if (auth === undefined) throw new Error('OpenBao login without a token')
    client.token = auth.client_token
    goodUntil = performance.now() + auth.lease_duration * 800
  }

  async function withToken<T>(call: () => Promise<T>): Promise<T> {
    const renew = () => (login ??= logIn().finally(() => (login = undefined)))
    if (performance.now() >= goodUntil) await renew()
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof OpenBaoRefusal) || error.status !== 403) throw error
      await renew()
      return call()
    }
  }

  return {
    read: <T>(path: BaoPath) =>
      withToken(async () => (await client.read(join(path))).data as T | undefined).catch((error: unknown) => {
        if (error instanceof OpenBaoRefusal && error.status === 404) return undefined
        throw error
      }),
    write: <T>(path: BaoPath, body: object) => withToken(async () => (await client.write(join(path), body))?.data as T),
  }
}

/** Only what needs no encoding: `..`, `%2e`, `?` or `#` in a segment would name something else. */
function join(path: BaoPath): string {
  for (const segment of path) {
    if (!/^[A-Za-z0-9._~-]{1,200}$/.test(segment) || /^\.+$/.test(segment)) throw new TypeError('a segment of an OpenBao path has forbidden characters')
  }
  return path.join('/')
}

function refuseSwitches(env: Readonly<Record<string, string | undefined>>): void {
  const set = refusedSwitches.filter((name) => env[name] !== undefined)
  if (/(^|[\s,])(\*|node-vault)/.test(env['DEBUG'] ?? '')) set.push('DEBUG')
  if (set.length > 0) throw new Error(`these variables must not be set: ${set.join(', ')}`)
}
