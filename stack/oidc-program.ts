import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { readJson, randomSecret, writePrivate, type Home } from './home.ts'
import { writeSeededPeople } from './oidc-users.ts'
import type { Program } from './process.ts'

/** What the issuer's process reads at its start. */
export interface IssuerFile {
  readonly issuer: string
  readonly port: number
  readonly signingKey: JWK
  readonly cookieKey: string
  readonly dpopNonceKey: string
}

/** The OIDC provider of this home; its issuer, port included, is what issued tokens and logins name, so it stays. */
export async function oidcProgram(home: Home, port: number): Promise<Program> {
  const file = home.file('oidc', 'issuer.json')
  if (!existsSync(file)) {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const signingKey = { ...(await exportJWK(privateKey)), kid: randomSecret().slice(0, 16), alg: 'ES256', use: 'sig' }
    writePrivate(file, { issuer: `http://127.0.0.1:${port}`, port, signingKey, cookieKey: randomSecret(), dpopNonceKey: randomSecret() } satisfies IssuerFile)
  }
  writeSeededPeople(home)
  const { issuer, signingKey } = readJson<IssuerFile>(file)
  return {
    name: 'oidc',
    role: 'oidc',
    port,
    command: process.execPath,
    args: [path.join(import.meta.dirname, 'oidc.ts'), home.path],
    stopSignal: 'SIGTERM',
    ready: async () => {
      const response = await fetch(`${issuer}/jwks`, { redirect: 'error', signal: AbortSignal.timeout(1_000) })
      return response.status === 200 && ((await response.json()) as { keys: JWK[] }).keys.some((key) => key.kid === signingKey.kid)
    },
  }
}
