import ssh2 from 'ssh2'
import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { Target } from '#connector/adapters/adapter.ts'
import { withoutSha1 } from '#connector/ssh-login.ts'
import { targetOf, useSsh } from './ssh-world.ts'
import { ed25519Key } from '../support/ed25519-key.ts'

const ssh = useSsh()
const { set, logIn, sshdWith } = ssh

describe('a login', () => {
  test('is one attempt, whatever the server still offers', async () => {
    const account = ssh.accounts().create()
    const before = ssh.sshd().log().length
    expect(await logIn(account.username, 'wrong')).toEqual({ login: 'rejected' })
    const methods = [
      ...ssh
        .sshd()
        .log()
        .slice(before)
        .matchAll(/userauth-request for user \S+ service ssh-connection method (\S+)/g),
    ].map(([, method]) => method)
    expect(methods).toEqual(['none', 'password'])
  })

  test('of an unknown user is rejected', async () => {
    expect(await logIn('lht-nobody', 'x')).toEqual({ login: 'rejected' })
  })

  test('answers one question for a password', async () => {
    const account = ssh.accounts().create()
    const asking = targetOf(await sshdWith({ UsePAM: 'yes', PasswordAuthentication: 'no', KbdInteractiveAuthentication: 'yes' }))
    expect(await logIn(account.username, account.password, asking)).toEqual({ login: 'accepted' })
    expect(await logIn(account.username, 'wrong', asking)).toEqual({ login: 'rejected' })
  })

  test.each([
    ['a code', [[{ prompt: 'Verification code: ', echo: false }]], []],
    ['a password to be seen', [[{ prompt: 'Password: ', echo: true }]], []],
    [
      'two things at once',
      [
        [
          { prompt: 'Password: ', echo: false },
          { prompt: 'Code: ', echo: false },
        ],
      ],
      [],
    ],
    ['the password again', [[{ prompt: 'Password: ', echo: false }], [{ prompt: 'Password: ', echo: false }]], [['canary-password']]],
  ])('gives no answer to a question for %s, and proves nothing by it', async (_what, questions, answers) => {
    const { target, heard } = await askingServer(questions)
    expect(await logIn('someone', 'canary-password', target)).toEqual({ login: 'unclear', reasonClass: 'unsupported' })
    expect(heard).toEqual(answers)
  })

  test('by an RSA key is never signed with SHA-1', () => {
    const key = ssh2.utils.parseKey(ssh.sshd().makeKey('root', 'rsa')) as ssh2.ParsedKey
    const data = Buffer.from('what is signed')
    expect(key.verify(data, key.sign(data, 'sha1'), 'sha1')).toBe(true)
    const guarded = withoutSha1(key)
    expect(guarded.sign(data, 'sha1')).toBeInstanceOf(Error)
    expect(guarded.verify(data, guarded.sign(data, 'sha256'), 'sha256')).toBe(true)
  })

  test('proves nothing where the server takes no passwords, or takes everybody', async () => {
    const account = ssh.accounts().create({ password: '' })
    const keysOnly = targetOf(await sshdWith({ PasswordAuthentication: 'no' }))
    expect(await logIn(ssh.admin().username, ssh.admin().password, keysOnly)).toEqual({ login: 'unclear', reasonClass: 'unsupported' })
    const open = targetOf(await sshdWith({ PermitEmptyPasswords: 'yes' }))
    expect(await logIn(account.username, 'anything', open)).toEqual({ login: 'unclear', reasonClass: 'unverified' })
  })

  test('proves the password where the server wants a second factor too', async () => {
    const strict = targetOf(await sshdWith({ AuthenticationMethods: 'password,publickey' }))
    expect(await logIn(ssh.admin().username, ssh.admin().password, strict)).toEqual({ login: 'accepted' })
    expect(await logIn(ssh.admin().username, 'wrong', strict)).toEqual({ login: 'rejected' })
    expect(await set('lht-nobody', 'x', {}, strict)).toEqual({ change: 'unchanged', reasonClass: 'denied' })
  })

  test.each([
    ['CBC ciphers', { Ciphers: 'aes256-cbc' }],
    ['SHA-1 key exchange', { KexAlgorithms: 'diffie-hellman-group1-sha1,diffie-hellman-group14-sha1' }],
    ['SHA-1 host key signatures', { HostKeyAlgorithms: 'ssh-rsa' }],
    ['SHA-1 MACs', { Ciphers: 'aes256-ctr', MACs: 'hmac-sha1' }],
  ])('is not tried on a server that has only %s', async (_what, options) => {
    const old = await sshdWith(options)
    expect(await logIn(ssh.admin().username, ssh.admin().password, targetOf(old))).toEqual({ login: 'unclear', reasonClass: 'weak-authentication' })
    expect(old.log()).not.toContain('userauth-request')
  })

  test('ends on a server that says nothing', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    ssh.later(() => silent.close())
    await new Promise((resolve) => silent.once('listening', resolve))
    const { port } = silent.address() as { port: number }
    expect(await logIn(ssh.admin().username, ssh.admin().password, { ...ssh.at(), port })).toEqual({ login: 'unclear', reasonClass: 'unreachable' })
  })
})

/** A server that asks what sshd would only ask with more PAM modules than there are here. */
async function askingServer(questions: ssh2.Prompt[][]): Promise<{ target: Target; heard: string[][] }> {
  const { private: key, public: hostKey } = ed25519Key()
  const heard: string[][] = []
  const server = new ssh2.Server({ hostKeys: [key] }, (client) => {
    client.on('error', () => {})
    client.on('authentication', (attempt) => {
      if (attempt.method !== 'keyboard-interactive') return attempt.reject(['keyboard-interactive'])
      const ask = ([prompts, ...rest]: ssh2.Prompt[][]): void => {
        if (prompts === undefined) return attempt.accept()
        attempt.prompt(prompts, (answers) => {
          heard.push(answers)
          ask(rest)
        })
      }
      ask(questions)
    })
  }).listen(0, '127.0.0.1')
  ssh.later(() => server.close())
  await new Promise<void>((resolve) => server.once('listening', () => resolve()))
  const { port } = server.address() as { port: number }
  return { target: { address: '127.0.0.1', port, parameters: { hostKey } }, heard }
}
