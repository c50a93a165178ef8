import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import ssh2, { type AnyAuthMethod, type AuthenticationType, type Client, type ParsedKey } from 'ssh2'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { hostKeyTypes, parseHostKeys, type HostKeyPin } from '#schemas/ssh-host-key.ts'
import type { LoginOutcome, Target } from './adapters/adapter.ts'

export type SshCredential = { readonly password: string } | { readonly key: ParsedKey }

/** One connection and its one attempt to log in. */
export interface SshConnection {
  readonly client: Client
  readonly outcome: LoginOutcome
  /** Whether commands may be run: a password can be right where the server wants a second factor too. */
  readonly isOpen: boolean
  readonly hangUp: () => Promise<void>
  /** Resets the connection, so that the kernel forgets what it has not sent yet. */
  readonly abort: () => void
}

/** For reaching the server, agreeing on keys and being judged, ms. PAM waits for some seconds before it refuses. */
const loginLimit = 8_000

/**
 * No SHA-1 in a signature or a MAC, no CBC, no group of less than 2048 bits. AES from the platform's own library is enough; every
 * OpenSSH since 6.5 (2014) has these.
 */
const algorithms = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group14-sha256',
  ],
  cipher: ['aes256-gcm@openssh.com', 'aes128-gcm@openssh.com', 'aes256-ctr', 'aes192-ctr', 'aes128-ctr'],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  compress: ['none'],
} as const

/**
 * Dials, checks the host key against the pins of `parameters.hostKey`, and only then logs in: at most one attempt with the
 * credential. Never throws for what a server does.
 */
export function openSsh(target: Target, username: string, credential: SshCredential): Promise<SshConnection> {
  const pins = parseHostKeys(String(target.parameters['hostKey'] ?? ''))
  const socket = connect({ host: target.address, port: target.port, noDelay: true, signal: target.signal })
  const client = new ssh2.Client()
  const dialogue = createDialogue(username, credential, () => client.end())
  let foreignKey = false
  return new Promise((resolve) => {
    const settle = (fallback: LoginOutcome, isOpen = false): void =>
      resolve({ client, outcome: dialogue.outcome() ?? fallback, isOpen, hangUp, abort: () => void socket.resetAndDestroy() })
    client.once('ready', () => settle(dialogue.answered() ? { login: 'accepted' } : unclear('unverified'), true))
    client.on('error', (error) => settle(unclear(foreignKey ? 'host-key-mismatch' : reasonOf(error, pins))))
    client.once('close', () => settle(unclear('unreachable')))
    // An expired password is to be changed in this dialogue; whether it was the right one is not said.
    client.on('change password', () => dialogue.giveUp())
    client.connect({
      sock: socket,
      username,
      readyTimeout: loginLimit,
      ident: 'leasehold',
      algorithms: { ...algorithms, serverHostKey: hostKeyAlgorithms(pins) } as unknown as ssh2.Algorithms,
      hostVerifier: (key: Buffer) => {
        foreignKey = !pins.some((pin) => matches(pin, key))
        return !foreignKey
      },
      authHandler: (left, partial) => dialogue.next(left, partial ?? false) as AnyAuthMethod,
    })
  })

  async function hangUp(): Promise<void> {
    if (socket.destroyed) return
    const closed = new Promise((resolve) => socket.once('close', resolve))
    const limit = setTimeout(() => socket.destroy(), 500)
    client.end()
    await closed
    clearTimeout(limit)
  }
}

const unclear = (reasonClass: ReasonClass): LoginOutcome => ({ login: 'unclear', reasonClass })

function matches(pin: HostKeyPin, key: Buffer): boolean {
  if ('key' in pin) return pin.key === key.toString('base64')
  return pin.fingerprint === `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** A server shows one key of the kind that we ask for first, so where we know the kinds of all pins, we ask for no other. */
function hostKeyAlgorithms(pins: readonly HostKeyPin[]): string[] {
  const pinned = pins.flatMap((pin) => ('type' in pin ? [pin.type] : hostKeyTypes))
  // RFC 8332: the key is of the type ssh-rsa, its signature is not, because that would be SHA-1.
  return hostKeyTypes
    .filter((type) => pins.length === 0 || pinned.includes(type))
    .flatMap((type) => (type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type]))
}

const sha1Refused = 'no signature with SHA-1'

/** The driver falls back to SHA-1 signatures where a server announces nothing better. */
export function withoutSha1(key: ParsedKey): ParsedKey {
  const sign = key.sign.bind(key)
  key.sign = (data, algorithm) => (algorithm === 'sha1' ? (new Error(sha1Refused) as never) : sign(data, algorithm))
  return key
}

function reasonOf(error: Error, pins: readonly HostKeyPin[]): ReasonClass {
  if (error.message.endsWith(sha1Refused)) return 'weak-authentication'
  if (!error.message.startsWith('Handshake failed: no matching')) return 'unreachable'
  return error.message.endsWith('host key format') && pins.every((pin) => 'type' in pin) ? 'host-key-mismatch' : 'weak-authentication'
}

/** The authentication dialogue of RFC 4252, and what it proves. */
interface Dialogue {
  readonly next: (methods: readonly AuthenticationType[] | null, partial: boolean) => AnyAuthMethod | false
  /** Whether the credential was given to the server. */
  readonly answered: () => boolean
  readonly outcome: () => LoginOutcome | undefined
  readonly giveUp: () => void
}

function createDialogue(username: string, credential: SshCredential, hangUp: () => void): Dialogue {
  let started = false
  let answered = false
  let outcome: LoginOutcome | undefined
  const giveUp = (): void => {
    outcome = unclear('unsupported')
    hangUp()
  }

  /** RFC 4256. One question for a password gets the answer; whatever else is asked, before or after, gets none. */
  const prompt = (_name: string, _instructions: string, _language: string, prompts: readonly ssh2.Prompt[], finish: (answers: string[]) => void): void => {
    const [question, ...more] = prompts
    const isOurs = question !== undefined && more.length === 0 && question.echo !== true && /password/i.test(question.prompt)
    if (answered || !isOurs || !('password' in credential)) return giveUp()
    answered = true
    finish([credential.password])
  }

  const attempts: Partial<Record<AuthenticationType, () => AnyAuthMethod>> =
    'key' in credential
      ? { publickey: () => ({ type: 'publickey', username, key: withoutSha1(credential.key) }) }
      : {
          password: () => ({ type: 'password', username, password: credential.password }),
          'keyboard-interactive': () => ({ type: 'keyboard-interactive', username, prompt }),
        }

  return {
    answered: () => answered,
    outcome: () => outcome,
    giveUp,
    next: (methods, partial) => {
      // Asks which methods there are. A server that is content with it accepts everything, and has seen no credential.
      if (methods === null) return { type: 'none', username }
      if (started) {
        // Partial success (RFC 4252 5.1): this credential was right, more is wanted. A refusal does not tell a wrong password
        // from an account that may not log in.
        if (answered) outcome = { login: partial ? 'accepted' : 'rejected' }
        else outcome = unclear('unsupported')
        return false
      }
      started = true
      const method = (['publickey', 'password', 'keyboard-interactive'] as const).find((name) => methods.includes(name) && attempts[name] !== undefined)
      const attempt = method === undefined ? undefined : attempts[method]?.()
      if (attempt === undefined) {
        outcome = unclear('unsupported')
        return false
      }
      answered = attempt.type !== 'keyboard-interactive'
      return attempt
    },
  }
}
