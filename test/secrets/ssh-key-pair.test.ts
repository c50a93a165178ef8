import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ssh2 from 'ssh2'
import { expect, test } from 'vitest'
import { Secret } from '#schemas/secret.ts'
import { readSshKey } from '#secrets/ssh-key.ts'
import { readableBySsh } from '#secrets/ssh-key-form.ts'
import { generateSshKey } from '#secrets/ssh-key-pair.ts'

test('a generated key is one that everybody reads: each of 300 and more, until one with a leading zero byte was among them', () => {
  const seen = new Set<string>()
  let zeros = 0
  let made = 0
  for (; made < 300 || zeros === 0; made += 1) {
    const { value, publicKey } = generateSshKey()
    expect(readSshKey(value)).toEqual({ publicKey })
    const parsed = ssh2.utils.parseKey(value.expose())
    if (parsed instanceof Error) throw parsed
    expect(`ssh-ed25519 ${parsed.getPublicSSH().toString('base64')}`).toBe(publicKey)
    const signature = parsed.sign('x')
    expect(signature instanceof Error ? signature : parsed.verify('x', signature)).toBe(true)
    if (parsed.getPublicSSH()[19] === 0) zeros += 1
    seen.add(publicKey)
  }
  expect(seen.size).toBe(made)
})

test('a key that a person stored in PEM is told to SSH programs in a form that they read, and another value as it is', () => {
  const pem = (type: 'pkcs8' | 'pkcs1' | 'sec1', key: KeyObject) => key.export({ type, format: 'pem' }) as string
  const [rsa, ec, ed] = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    generateKeyPairSync('ed25519'),
  ]
  const parameters = '-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n'
  const stored = [...[rsa, ec, ed].map((pair) => pem('pkcs8', pair.privateKey)), pem('pkcs1', rsa.privateKey), parameters + pem('sec1', ec.privateKey)]
  for (const text of [...stored, stored[0]?.replaceAll('\n', '\r\n') ?? '']) {
    const parsed = ssh2.utils.parseKey(readableBySsh(`\n${text}`))
    if (parsed instanceof Error) throw parsed
    expect(readSshKey(Secret.of(text))).toEqual({ publicKey: `${parsed.type} ${parsed.getPublicSSH().toString('base64')}` })
  }
  const mine = generateSshKey().value.expose()
  for (const text of ['words', '', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', mine]) expect(readableBySsh(text)).toBe(text)
})

const keygen = '/usr/bin/ssh-keygen'
test('a generated key has the public half that ssh-keygen says', (context) => {
  context.skip(spawnSync(keygen, ['-?']).error !== undefined, 'ssh-keygen is not installed')
  const folder = mkdtempSync(path.join(tmpdir(), 'leasehold-key-'))
  try {
    for (let made = 0; made < 20; made += 1) {
      const { value, publicKey } = generateSshKey()
      const file = path.join(folder, `${made}`)
      writeFileSync(file, value.expose(), { mode: 0o600 })
      expect(spawnSync(keygen, ['-y', '-P', '', '-f', file], { encoding: 'utf8' }).stdout.trim()).toBe(`${publicKey} leasehold`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
