import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import ssh2 from 'ssh2'
import { describe, expect, test } from 'vitest'
import { Secret } from '#schemas/secret.ts'
import { readSshKey } from '#secrets/ssh-key.ts'

/** Made for this test by ssh-keygen, which also told the public line. */
const known = {
  private: `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAAuhuPiUAvTtmAW/owzUY10UTeAJhX4GL7oYZlVT6lUwAAAJAkUx1BJFMd
QQAAAAtzc2gtZWQyNTUxOQAAACAAuhuPiUAvTtmAW/owzUY10UTeAJhX4GL7oYZlVT6lUw
AAAEAfJKsTMk46LVSyOtf9UfBssoXfJk+q/6Y/gz5/c/TtWgC6G4+JQC9O2YBb+jDNRjXR
RN4AmFfgYvuhhmVVPqVTAAAAB3Jvb3RAdm0BAgMEBQY=
-----END OPENSSH PRIVATE KEY-----
`,
  public: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAC6G4+JQC9O2YBb+jDNRjXRRN4AmFfgYvuhhmVVPqVT',
}
const read = (text: string) => readSshKey(Secret.of(text))
const faultOf = (text: string): string => {
  const key = read(text)
  return 'fault' in key ? key.fault : ''
}
const pem = (type: 'pkcs8' | 'pkcs1' | 'sec1', key: KeyObject) => key.export({ type, format: 'pem' }) as string
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength })
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey

describe('a private SSH key', () => {
  test('has the public half that ssh-keygen says, however it ends its lines', () => {
    expect(read(known.private)).toEqual({ publicKey: known.public })
    expect(read(known.private.replaceAll('\n', '\r\n').trim())).toEqual({ publicKey: known.public })
  })

  test.each([
    ['rsa', { bits: 2048 }],
    ['ecdsa', { bits: 256 }],
    ['ecdsa', { bits: 384 }],
    ['ecdsa', { bits: 521 }],
  ] as const)("in OpenSSH's form: %s %j", (type, options) => {
    const pair = ssh2.utils.generateKeyPairSync(type as 'rsa', options as { bits: number })
    expect(read(pair.private)).toEqual({ publicKey: pair.public.trim() })
  })

  test('in PEM: PKCS #1, SEC 1 (with its parameters in front) and PKCS #8', () => {
    const { privateKey } = rsa(2048)
    const curve = ec('prime256v1')
    expect(read(pem('pkcs1', privateKey))).toEqual({ publicKey: expect.stringMatching(/^ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB/) })
    expect(read(pem('pkcs8', privateKey))).toEqual(read(pem('pkcs1', privateKey)))
    const sec1 = read(pem('sec1', curve))
    expect(sec1).toEqual({ publicKey: expect.stringMatching(/^ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY/) })
    expect(read(`-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${pem('sec1', curve)}`)).toEqual(sec1)
    expect(read(pem('pkcs8', generateKeyPairSync('ed25519').privateKey))).toEqual({ publicKey: expect.stringMatching(/^ssh-ed25519 /) })
  })

  test('with a passphrase is refused for that, in each form', () => {
    const cipher = { cipher: 'aes-256-cbc', passphrase: 'secret' }
    const { privateKey } = rsa(2048)
    const locked = [
      ssh2.utils.generateKeyPairSync('ed25519', { passphrase: 'secret', cipher: 'aes256-cbc', rounds: 16 }).private,
      privateKey.export({ type: 'pkcs8', format: 'pem', ...cipher }) as string,
      privateKey.export({ type: 'pkcs1', format: 'pem', ...cipher }) as string,
    ]
    for (const text of locked) expect(faultOf(text)).toMatch(/^must be a private key without a passphrase/)
  })

  test('that is too short, of another kind or curve is refused with what would do', () => {
    expect(faultOf(pem('pkcs8', rsa(1024).privateKey))).toBe('must have 2048 to 16384 bits')
    for (const other of [ec('secp256k1'), generateKeyPairSync('x25519').privateKey, generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey]) {
      expect(faultOf(pem('pkcs8', other))).toBe('must be an Ed25519 key, an RSA key or an ECDSA key on P-256, P-384 or P-521')
    }
  })

  test('whose halves are of two keys is refused', () => {
    const [one, other] = [rsa(2048).privateKey.export({ format: 'jwk' }), rsa(2048).privateKey.export({ format: 'jwk' })]
    const mixed = createMixed(one, other)
    expect(faultOf(mixed)).not.toBe('')
  })

  test('that is none is refused, and nothing of it is repeated', () => {
    const cut = known.private.replace('AAAAC3', 'AAAA').replace('b3BlbnNzaC1r', '')
    for (const text of ['', 'garbage', known.public, cut, `${known.private}${known.private}`, `before\n${known.private}`, known.private.slice(0, -40)]) {
      expect(faultOf(text)).toBe('must be one private key in OpenSSH or PEM form')
    }
  })
})

/** An RSA key in PEM with the modulus of one pair and the primes of another. */
function createMixed(one: JsonWebKey, other: JsonWebKey): string {
  const integer = (value: string): Buffer => {
    const bytes = Buffer.from(value, 'base64url')
    return der(2, (bytes[0] ?? 0) >= 128 ? Buffer.concat([Buffer.of(0), bytes]) : bytes)
  }
  const { n, e } = one as Record<string, string>
  const { d, p, q, dp, dq, qi } = other as Record<string, string>
  const fields = [n, e, d, p, q, dp, dq, qi].map((value) => integer(value ?? ''))
  const body = der(0x30, Buffer.concat([der(2, Buffer.of(0)), ...fields])).toString('base64')
  return `-----BEGIN RSA PRIVATE KEY-----\n${(body.match(/.{1,64}/g) ?? []).join('\n')}\n-----END RSA PRIVATE KEY-----\n`
}

function der(tag: number, content: Buffer): Buffer {
  const length = content.length < 128 ? Buffer.of(content.length) : Buffer.of(0x82, content.length >> 8, content.length & 255)
  return Buffer.concat([Buffer.of(tag), length, content])
}
