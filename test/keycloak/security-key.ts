import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** A security key in software (W3C WebAuthn): what a server keeps of it, and its answers on Keycloak's page. */
export interface SecurityKey {
  /** Keycloak's stored form of it. */
  readonly credential: object
  /** Fields of the page that asks for it. */
  readonly answer: (html: string, origin: string) => Record<string, string>
}

const sha256 = (data: string | Buffer): Buffer => createHash('sha256').update(data).digest()
/** Somebody was there, and was checked (by a PIN, say). */
const presentAndVerified = 0x05

export function createSecurityKey(): SecurityKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const id = randomBytes(16)
  let counter = 0
  // A COSE key (RFC 9052): EC2, ES256, P-256, and the two coordinates.
  const cose = Buffer.concat([
    Buffer.from('a5010203262001215820', 'hex'),
    Buffer.from(x, 'base64url'),
    Buffer.from('225820', 'hex'),
    Buffer.from(y, 'base64url'),
  ])
  return {
    credential: {
      type: 'webauthn',
      userLabel: 'key',
      secretData: '{}',
      credentialData: JSON.stringify({
        aaguid: '00000000-0000-0000-0000-000000000000',
        credentialId: id.toString('base64'),
        counter,
        credentialPublicKey: cose.toString('base64url'),
        attestationStatementFormat: 'none',
        transports: [],
      }),
    },
    answer: (html, origin) => {
      const [, challenge] = /challenge : "([\w-]+)"/.exec(html) ?? []
      if (challenge === undefined) return {}
      const clientData = Buffer.from(JSON.stringify({ type: 'webauthn.get', challenge, origin, crossOrigin: false }))
      counter += 1
      const count = Buffer.alloc(4)
      count.writeUInt32BE(counter)
      const authenticatorData = Buffer.concat([sha256(new URL(origin).hostname), Buffer.from([presentAndVerified]), count])
      return {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: authenticatorData.toString('base64url'),
        signature: sign('sha256', Buffer.concat([authenticatorData, sha256(clientData)]), privateKey).toString('base64url'),
        credentialId: id.toString('base64url'),
      }
    },
  }
}
