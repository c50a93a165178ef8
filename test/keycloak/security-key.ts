import { createSoftKey } from '../support/soft-key.ts'

/** A security key: what Keycloak keeps of it, and its answers on Keycloak's page. */
export interface SecurityKey {
  /** Keycloak's stored form of it. */
  readonly credential: object
  /** Fields of the page that asks for it. */
  readonly answer: (html: string, origin: string) => Record<string, string>
}

export function createSecurityKey(): SecurityKey {
  const key = createSoftKey()
  return {
    credential: {
      type: 'webauthn',
      userLabel: 'key',
      secretData: '{}',
      credentialData: JSON.stringify({
        aaguid: '00000000-0000-0000-0000-000000000000',
        credentialId: key.id.toString('base64'),
        counter: 0,
        credentialPublicKey: key.publicKey.toString('base64url'),
        attestationStatementFormat: 'none',
        transports: [],
      }),
    },
    answer: (html, origin) => {
      const [, challenge] = /challenge : "([\w-]+)"/.exec(html) ?? []
      if (challenge === undefined) return {}
      const { id: credentialId, response } = key.sign(challenge, origin)
      return { ...response, credentialId }
    },
  }
}
