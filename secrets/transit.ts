import type { OpenBao } from './openbao.ts'

/** An Ed25519 key of OpenBao's transit engine: it signs there and never leaves. */
export interface SigningKey {
  readonly name: string
  /** Pinned, so that a signature and the public key beside it belong together while the key is rotated. */
  readonly version: number
  /** 32 bytes. */
  readonly publicKey: Buffer
}

export interface Jwk {
  readonly kty: 'OKP'
  readonly crv: 'Ed25519'
  readonly x: string
  readonly kid: string
  readonly alg: 'EdDSA'
  readonly use: 'sig'
}

export interface Transit {
  /** Makes the key when it is not there; never exportable, never deletable. */
  ensureSigningKey(name: string): Promise<void>
  /** All versions, oldest first. @throws Error when there is no such key */
  signingKeys(name: string): Promise<SigningKey[]>
  /** The newest version. */
  signingKey(name: string): Promise<SigningKey>
  /** Ed25519 signature (RFC 8032), 64 bytes. */
  sign(key: SigningKey, message: Uint8Array): Promise<Buffer>
  /** Compact JWS (RFC 7515) with alg EdDSA (RFC 8037) over the JSON of `payload`. @param type `typ` of the header */
  signJws(key: SigningKey, type: string, payload: object): Promise<string>
  /** Public keys of all versions as a JWK Set (RFC 7517). */
  jwks(name: string): Promise<{ keys: Jwk[] }>
}

interface KeyAnswer {
  readonly keys: Readonly<Record<string, { readonly public_key: string }>>
}
const mount = 'leasehold-transit'
const kidOf = ({ name, version }: SigningKey): string => `${name}.${version}`
const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

export function createTransit(bao: OpenBao): Transit {
  async function signingKeys(name: string): Promise<SigningKey[]> {
    const found = await bao.read<KeyAnswer>([mount, 'keys', name])
    if (found === undefined) throw new Error(`OpenBao has no transit key ${name}`)
    return Object.entries(found.keys)
      .map(([version, key]) => ({ name, version: Number(version), publicKey: Buffer.from(key.public_key, 'base64') }))
      .sort((one, other) => one.version - other.version)
  }

  async function sign(key: SigningKey, message: Uint8Array): Promise<Buffer> {
    const body = { input: Buffer.from(message).toString('base64'), key_version: key.version }
    const { signature } = await bao.write<{ signature: string }>([mount, 'sign', key.name], body)
    return Buffer.from(signature.slice(signature.lastIndexOf(':') + 1), 'base64')
  }

  return {
    signingKeys,
    sign,
    async ensureSigningKey(name) {
      if ((await bao.read([mount, 'keys', name])) === undefined) await bao.write([mount, 'keys', name], { type: 'ed25519', exportable: false })
    },
    async signingKey(name) {
      const newest = (await signingKeys(name)).at(-1)
      if (newest === undefined) throw new Error(`the transit key ${name} has no version`)
      return newest
    },
    async signJws(key, type, payload) {
      const text = `${base64url({ alg: 'EdDSA', kid: kidOf(key), typ: type })}.${base64url(payload)}`
      return `${text}.${(await sign(key, Buffer.from(text))).toString('base64url')}`
    },
    async jwks(name) {
      const keys = await signingKeys(name)
      return { keys: keys.map((key) => ({ kty: 'OKP', crv: 'Ed25519', x: key.publicKey.toString('base64url'), kid: kidOf(key), alg: 'EdDSA', use: 'sig' })) }
    },
  }
}
