import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ssh2 from 'ssh2'
import { expect, test } from 'vitest'
import { readSshKey } from '#secrets/ssh-key.ts'
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
