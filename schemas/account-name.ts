import { HttpCalls, namesAreTaken } from './http-calls.ts'

interface Rule {
  readonly takes: (username: string, parameters: Readonly<Record<string, unknown>>) => boolean
  readonly message: string
}

const isOneLine = (username: string): boolean => username.isWellFormed() && /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u.test(username)

/** By the connector's adapter: which names can be said to a target so that it takes them for what they are. */
const rules: Readonly<Record<string, Rule>> = {
  postgres: {
    // It cuts a longer one off, and then means another role.
    takes: (username) => username.isWellFormed() && !username.includes('\0') && new TextEncoder().encode(username).length <= 63,
    message: 'must be at most 63 bytes long on a host of the adapter postgres',
  },
  ssh: {
    // chpasswd splits at the first colon and at line ends.
    takes: (username) => isOneLine(username) && !username.includes(':'),
    message: 'must be one line without a colon on a host of the adapter ssh',
  },
  'ssh-key': {
    // A shell takes it as it is, also behind `~`.
    takes: (username) => /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/.test(username),
    message: 'must be letters, digits and _.- where a key is changed over SSH',
  },
  mysql: {
    // Kept in three bytes of UTF-8 at most; what does not fit would become a question mark.
    takes: (username) => username.isWellFormed() && /^[^\0\u{10000}-\u{10ffff}]{1,128}$/u.test(username),
    message: 'must be at most 128 characters of the basic plane on a host of the adapter mysql',
  },
  ldap: { takes: (username) => username.isWellFormed() && username !== '', message: 'must be text' },
  http: {
    takes: (username, { calls }) => isOneLine(username) && namesAreTaken(HttpCalls.safeParse(calls).data, username),
    message: 'must stay what it is where the calls of the host put it: without / \\ % ; in a path, without a colon in {basic}, ASCII in a header',
  },
}

/** @returns why an account of this name is never changed there; undefined: its name is taken literally */
export function accountNameFault(adapter: string, username: string, parameters: Readonly<Record<string, unknown>> = {}): string | undefined {
  const rule = Object.hasOwn(rules, adapter) ? rules[adapter] : undefined
  return rule === undefined || rule.takes(username, parameters) ? undefined : rule.message
}
