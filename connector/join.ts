import { setTimeout as sleep } from 'node:timers/promises'
import { createUser, fromSeed } from '@nats-io/nkeys'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import { JoinAnswer } from '#schemas/connector-message.ts'
import { createAllowList } from './allow-list.ts'
import { readIdentity, writeIdentity, type IdentityFile } from './identity-file.ts'
import { createFetch, refusePlain } from './trust.ts'

export interface JoinOptions {
  readonly home: string
  /** Base URL of the API. */
  readonly url: string
  /** Single-use join token; never written anywhere. */
  readonly token: string
  /** `host:port` entries that this connector may dial. */
  readonly allow: readonly string[]
  /** Certificate authorities of the API, PEM; absent: those that come with Node. */
  readonly ca?: string | undefined
  /** ms after which joining is given up; asking again later with the same token and keys goes on. */
  readonly patienceMs?: number
}

/** The control plane refused for good: the token is wrong, used by another key, or too old. */
export class JoinRefusedError extends Error {
  override name = 'JoinRefusedError'
}

const requestLimit = 10_000
const pause = 500

/**
 * Makes this connector's keys, registers their public halves and waits until the control plane has made its NATS identity.
 * The private halves never leave `home`. The keys are on disk before the first request, so that a crash or a lost answer is
 * repaired by asking again.
 *
 * @throws JoinRefusedError, TypeError (allow list, plain URL outside loopback), Error when patience is over
 */
export async function join({ home, url, token, allow, ca, patienceMs = 120_000 }: JoinOptions): Promise<JoinAnswer> {
  refusePlain(url, 'https:')
  createAllowList(allow)
  const identity: IdentityFile = { ...(readIdentity(home) ?? (await createKeys(url))), apiUrl: url, allow: [...allow] }
  writeIdentity(home, identity)
  const body = JSON.stringify({ token, nkey: fromSeed(new TextEncoder().encode(identity.nkeySeed)).getPublicKey(), encryptionJwk: publicHalf(identity) })
  const reach = createFetch(ca)
  const end = performance.now() + patienceMs
  for (let wait = pause; performance.now() < end; wait = Math.min(wait * 1.5, 5_000)) {
    const joined = await ask(reach, new URL('/v1/connectors/join', url), body)
    if (joined !== undefined) {
      refusePlain(joined.natsUrl, 'tls:')
      writeIdentity(home, { ...identity, joined })
      return joined
    }
    await sleep(wait)
  }
  throw new Error('the control plane did not finish the join in time')
}

/** @returns undefined when it should be asked again */
async function ask(reach: typeof fetch, url: URL, body: string): Promise<JoinAnswer | undefined> {
  let response: Response
  try {
    response = await reach(url, {
      method: 'POST',
      body,
      redirect: 'error',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      signal: AbortSignal.timeout(requestLimit),
    })
  } catch {
    return undefined
  }
  if (response.status >= 400 && response.status < 500 && response.status !== 429) {
    const { code } = (await response.json().catch(() => ({}))) as { code?: unknown }
    throw new JoinRefusedError(`the control plane refused to join: ${typeof code === 'string' && /^[a-z-]{1,60}$/.test(code) ? code : response.status}`)
  }
  if (response.status !== 200) {
    await response.body?.cancel()
    return undefined
  }
  return JoinAnswer.parse(await response.json())
}

async function createKeys(apiUrl: string): Promise<IdentityFile> {
  const { privateKey } = await generateKeyPair('ECDH-ES+A256KW', { crv: 'X25519', extractable: true })
  const { x, d } = await exportJWK(privateKey)
  if (x === undefined || d === undefined) throw new Error('no X25519 key was made')
  const kid = await calculateJwkThumbprint({ kty: 'OKP', crv: 'X25519', x })
  const nkeySeed = new TextDecoder().decode(createUser().getSeed())
  return { version: 1, apiUrl, allow: [], nkeySeed, encryptionKey: { kty: 'OKP', crv: 'X25519', x, d, kid }, joined: null }
}

function publicHalf({ encryptionKey: { kty, crv, x, kid } }: IdentityFile) {
  return { kty, crv, x, kid }
}
