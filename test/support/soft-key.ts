import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** A security key in software (W3C WebAuthn 3), with a counter, that always says that it has checked who is there. */
export interface SoftKey {
  readonly id: Buffer
  /** COSE_Key (RFC 9052): EC2, ES256, P-256, and the two coordinates. */
  readonly publicKey: Buffer
  /** What a browser answers when a page asks it for a new key, without attestation (section 6.5.4). */
  readonly register: (challenge: string, origin: string, settings?: Settings) => Registration
  /** What a browser answers when a page asks it for a signature. */
  readonly sign: (challenge: string, origin: string, settings?: Settings) => Assertion
}

interface Settings {
  /** Absent: the host of the origin. */
  readonly rpId?: string
  /** Bits of section 6.1; absent: somebody was there, and was checked (by a PIN, say). */
  readonly flags?: number
  /** Of the attestation statement, which is empty; absent: `none`. */
  readonly format?: string
  /** Absent: one more than the last time. */
  readonly count?: number
}

interface Answer<Response> {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly clientExtensionResults: Record<string, unknown>
  readonly response: Response
}
export type Registration = Answer<{ readonly clientDataJSON: string; readonly attestationObject: string; readonly transports: string[] }>
export type Assertion = Answer<{ readonly clientDataJSON: string; readonly authenticatorData: string; readonly signature: string }>

const sha256 = (data: string | Buffer): Buffer => createHash('sha256').update(data).digest()
const presentAndVerified = 0x05
const withKey = 0x40

export function createSoftKey(): SoftKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const id = randomBytes(16)
  const cose = Buffer.concat([
    Buffer.from('a5010203262001215820', 'hex'),
    Buffer.from(x, 'base64url'),
    Buffer.from('225820', 'hex'),
    Buffer.from(y, 'base64url'),
  ])
  let counter = 0
  const authenticatorData = (origin: string, added: number, { rpId, flags = presentAndVerified, count }: Settings) => {
    counter = count ?? counter + 1
    const counted = Buffer.alloc(4)
    counted.writeUInt32BE(counter)
    return Buffer.concat([sha256(rpId ?? new URL(origin).hostname), Buffer.from([flags | added]), counted])
  }
  const clientData = (type: string, challenge: string, origin: string) => Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }))
  const answer = <Response>(response: Response): Answer<Response> => {
    const name = id.toString('base64url')
    return { id: name, rawId: name, type: 'public-key', clientExtensionResults: {}, response }
  }
  return {
    id,
    publicKey: cose,
    register: (challenge, origin, settings = {}) => {
      const identifier = Buffer.concat([Buffer.alloc(16), Buffer.from([0, id.length]), id, cose])
      const data = Buffer.concat([authenticatorData(origin, withKey, settings), identifier])
      // CBOR: {"fmt": "none", "attStmt": {}, "authData": data}
      const head = Buffer.concat([
        Buffer.from([0xa3]),
        tagged('fmt'),
        tagged(settings.format ?? 'none'),
        tagged('attStmt'),
        Buffer.from([0xa0]),
        tagged('authData'),
      ])
      const attestation = Buffer.concat([head, Buffer.from([0x58, data.length]), data])
      return answer({
        clientDataJSON: clientData('webauthn.create', challenge, origin).toString('base64url'),
        attestationObject: attestation.toString('base64url'),
        transports: ['usb'],
      })
    },
    sign: (challenge, origin, settings = {}) => {
      const client = clientData('webauthn.get', challenge, origin)
      const data = authenticatorData(origin, 0, settings)
      return answer({
        clientDataJSON: client.toString('base64url'),
        authenticatorData: data.toString('base64url'),
        signature: sign('sha256', Buffer.concat([data, sha256(client)]), privateKey).toString('base64url'),
      })
    },
  }
}

/** A text of CBOR (RFC 8949) below 24 bytes. */
const tagged = (text: string): Buffer => Buffer.concat([Buffer.from([0x60 | text.length]), Buffer.from(text)])
