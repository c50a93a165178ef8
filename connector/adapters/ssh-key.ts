import ssh2 from 'ssh2'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { withKey, withoutKey, type PublicKey } from '../authorized-keys.ts'
import { keysFileOf, readKeys, writeKeys } from '../keys-file.ts'
import { openSsh } from '../ssh-login.ts'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Removal, Target } from './adapter.ts'
import { credentialOf } from './ssh.ts'

/**
 * SSH keys of Linux accounts. A change adds the public half to the file that sshd reads, beside what is there; once a fresh login
 * proves the new key, `remove` takes the old line away. Only public halves are sent. An admin does it by sudo as the account, or the
 * account itself with the key that it has.
 */
export const sshKeyAdapter: Adapter = { change, remove, logIn }

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })

function change(target: Target, { as, username, password, known = null, beforeSend }: Change): Promise<ChangeOutcome> {
  const added = publicHalf(password)
  if (added === undefined) return Promise.resolve(unchanged('unsupported'))
  const old = known === null ? undefined : publicHalf(known)
  return rewrite(target, { as, username, beforeSend, edit: (file) => withKey(file, added, old) })
}

function remove(target: Target, { as, username, password, remaining }: Removal): Promise<ChangeOutcome> {
  const gone = publicHalf(password)
  if (gone === undefined) return Promise.resolve(unchanged('unsupported'))
  return rewrite(target, { as, username, beforeSend: remaining, edit: (file) => withoutKey(file, gone) })
}

interface Rewrite {
  readonly as: Login
  readonly username: string
  readonly beforeSend: () => number
  readonly edit: (file: string) => string
}

async function rewrite(target: Target, { as, username, beforeSend, edit }: Rewrite): Promise<ChangeOutcome> {
  const [credential, file] = [credentialOf(as), keysFileOf(target, username, as.username)]
  if (credential === undefined || file === undefined) return unchanged('unsupported')
  const connection = await openSsh(target, as.username, credential)
  try {
    if (!connection.isOpen) return unchanged(connection.outcome.login === 'unclear' ? connection.outcome.reasonClass : 'denied')
    const read = await readKeys(connection, file)
    if (typeof read === 'string') return unchanged(read)
    const text = edit(read.text)
    return text === read.text ? { change: 'applied' } : await writeKeys(connection, file, { read, text, beforeSend })
  } finally {
    await connection.hangUp()
  }
}

async function logIn(target: Target, login: Login): Promise<LoginOutcome> {
  const credential = credentialOf(login)
  // A value that is no key is no password here either.
  if (credential === undefined || !('key' in credential)) return { login: 'unclear', reasonClass: 'unsupported' }
  const connection = await openSsh(target, login.username, credential)
  await connection.hangUp()
  return connection.outcome
}

/** @returns undefined for a private key that is encrypted, damaged or none */
function publicHalf(privateKey: string): PublicKey | undefined {
  const parsed = ssh2.utils.parseKey(privateKey.trim())
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  if (key === undefined || key instanceof Error || !key.isPrivateKey()) return undefined
  return { type: key.type, blob: key.getPublicSSH().toString('base64') }
}
