import { Secret } from '#schemas/secret.ts'
import type { OpenBao } from './openbao.ts'

/** Encrypts key material under a transit key that never leaves OpenBao. @returns `vault:v…` */
export async function wrap(bao: OpenBao, key: string, material: Secret<Buffer>): Promise<string> {
  const { ciphertext } = await bao.write<{ ciphertext: string }>(['leasehold-transit', 'encrypt', key], { plaintext: material.expose().toString('base64') })
  return ciphertext
}

/** The material that `wrap` encrypted. */
export async function unwrap(bao: OpenBao, key: string, ciphertext: string): Promise<Secret<Buffer>> {
  const { plaintext } = await bao.write<{ plaintext: string }>(['leasehold-transit', 'decrypt', key], { ciphertext })
  return Secret.of(Buffer.from(plaintext, 'base64'))
}
