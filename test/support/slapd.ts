import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Attribute, Change, Client } from 'ldapts'
import type { Login, Target } from '#connector/adapters/adapter.ts'
import { createAuthority, issue } from '#stack/certificates.ts'
import { freePort } from './free-port.ts'
import { missingPrograms, openServerFolder } from './unprivileged.ts'

/** A real OpenLDAP on loopback ports, with a directory, a password policy (8 characters, locked after 4 failures) and an authority of its own. */
export interface TestSlapd {
  /** TLS from the start. */
  readonly target: Target
  /** Plain at first. */
  readonly startTls: Target
  /** May write passwords, and is under the password policy. */
  readonly admin: Login
  readonly create: (username?: string, password?: string) => Promise<Login>
  /** Sets a password behind everybody's back. */
  readonly set: (login: Login) => Promise<void>
  /** The password policy takes no shorter value from now on. */
  readonly require: (length: number) => Promise<void>
  readonly dnOf: (username: string) => string
  /** Whether a bind by this password succeeds: by bytes of our own, not by the library that is tested. */
  readonly logsIn: (login: Login) => Promise<boolean>
  /** How the directory keeps the password. */
  readonly stored: (username: string) => Promise<string>
  readonly log: () => string
  readonly end: () => Promise<void>
}

const [server, loader, schemas] = ['/usr/sbin/slapd', '/usr/sbin/slapadd', '/etc/ldap/schema'] as const

/** Why this machine cannot have one; undefined: it can. */
export const slapdMissing = (): string | undefined => missingPrograms([server, loader, `${schemas}/core.schema`])

const suffix = 'dc=example,dc=org'
const people = `ou=people,${suffix}`

/**
 * @param rules lines of the configuration that come before ours
 * @param names what its certificate is for
 */
export async function startSlapd(rules: readonly string[] = [], names: readonly string[] = ['127.0.0.1']): Promise<TestSlapd> {
  const folder = openServerFolder('slapd')
  const [plain, secure] = [await freePort(), await freePort()]
  const authority = await createAuthority('targets')
  const { cert, key } = await issue(authority, names)
  const [root, admin] = ['root', 'resetter'].map((name) => ({ username: `cn=${name},${suffix}`, password: randomBytes(12).toString('base64url') })) as [
    Login,
    Login,
  ]
  mkdirSync(folder.file('data'))
  writeFileSync(folder.file('ca.pem'), authority.cert)
  writeFileSync(folder.file('cert.pem'), cert)
  writeFileSync(folder.file('key.pem'), key, { mode: 0o600 })
  const settings = [
    ...['core', 'cosine', 'inetorgperson'].map((name) => `include ${schemas}/${name}.schema`),
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    'moduleload ppolicy',
    `pidfile ${folder.file('pid')}`,
    `TLSCACertificateFile ${folder.file('ca.pem')}`,
    `TLSCertificateFile ${folder.file('cert.pem')}`,
    `TLSCertificateKeyFile ${folder.file('key.pem')}`,
    ...rules,
    'database mdb',
    `suffix "${suffix}"`,
    `rootdn "${root.username}"`,
    `rootpw ${root.password}`,
    `directory ${folder.file('data')}`,
    'dbnosync',
    'overlay ppolicy',
    `ppolicy_default "cn=policy,${suffix}"`,
    `access to attrs=userPassword by dn.exact="${admin.username}" write by self write by anonymous auth`,
    `access to * by dn.exact="${admin.username}" read by users read`,
  ]
  writeFileSync(folder.file('slapd.conf'), `${settings.join('\n')}\n`)
  writeFileSync(
    folder.file('first.ldif'),
    [
      `dn: ${suffix}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example`,
      `dn: ${people}\nobjectClass: organizationalUnit\nou: people`,
      `dn: cn=policy,${suffix}\nobjectClass: organizationalRole\nobjectClass: pwdPolicy\npwdAttribute: userPassword\npwdMinLength: 8\npwdCheckQuality: 2\npwdLockout: TRUE\npwdMaxFailure: 4`,
      `dn: ${admin.username}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\nuserPassword: ${admin.password}`,
      '',
    ].join('\n\n'),
  )
  folder.give()
  folder.run(loader, ['-f', folder.file('slapd.conf'), '-l', folder.file('first.ldif')])
  const running = folder.start(server, ['-d', 'stats', '-f', folder.file('slapd.conf'), '-h', `ldap://127.0.0.1:${plain} ldaps://127.0.0.1:${secure}`])
  const binds = (dn: string, password: string): Promise<boolean> => simpleBind(plain, dn, password)
  while (!(await binds(root.username, root.password).catch(() => false))) {
    if (running.child.exitCode !== null) throw new Error(`slapd ended: ${running.log()}`)
    await sleep(30)
  }
  const asRoot = async <T>(work: (client: Client) => Promise<T>): Promise<T> => {
    const client = new Client({ url: `ldap://127.0.0.1:${plain}` })
    await client.bind(root.username, root.password)
    return work(client).finally(() => client.unbind())
  }
  /** Escaped by another rule than the adapter's, which must come to the same. */
  const dnOf = (username: string): string => `uid=${[...Buffer.from(username)].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')},${people}`
  const parameters = { ca: authority.cert, accountDn: `uid={username},${people}` }

  return {
    target: { address: '127.0.0.1', port: secure, parameters },
    startTls: { address: '127.0.0.1', port: plain, parameters: { ...parameters, startTls: true } },
    admin,
    dnOf,
    create: async (uid = `a-${randomBytes(6).toString('hex')}`, password = randomBytes(12).toString('base64url')) => {
      await asRoot((client) => client.add(dnOf(uid), { objectClass: ['account', 'simpleSecurityObject'], uid, userPassword: password }))
      return { username: uid, password }
    },
    set: ({ username, password }) => asRoot((client) => client.modify(dnOf(username), replace('userPassword', password))),
    require: (length) => asRoot((client) => client.modify(`cn=policy,${suffix}`, replace('pwdMinLength', String(length)))),
    logsIn: ({ username, password }) => binds(dnOf(username), password),
    stored: (username) =>
      asRoot(async (client) =>
        String((await client.search(dnOf(username), { scope: 'base', attributes: ['userPassword'] })).searchEntries[0]?.['userPassword']),
      ),
    log: running.log,
    end: async () => {
      await running.stop()
      folder.remove()
    },
  }
}

const replace = (type: string, value: string): Change => new Change({ operation: 'replace', modification: new Attribute({ type, values: [value] }) })

/** BindRequest of RFC 4511 4.2, as message 1; the answer's result code is the byte after `0a 01`. */
async function simpleBind(port: number, dn: string, password: string): Promise<boolean> {
  const tlv = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
    const body = Buffer.concat(parts)
    return Buffer.concat([Buffer.from([tag, 0x82, body.length >> 8, body.length & 0xff]), body])
  }
  const version = Buffer.from([2, 1, 3])
  const request = tlv(0x30, Buffer.from([2, 1, 1]), tlv(0x60, version, tlv(4, Buffer.from(dn)), tlv(0x80, Buffer.from(password))))
  const socket = connect(port, '127.0.0.1')
  socket.write(request)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  const code = answer[answer.indexOf(Buffer.from([0x0a, 1])) + 2]
  if (code !== 0 && code !== 49) throw new Error(`the bind ended with ${code}`)
  return code === 0
}
