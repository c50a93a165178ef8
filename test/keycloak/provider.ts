/** An identity provider as tests of the API use it. */
export interface TestProvider {
  /** The exact `iss`. */
  readonly issuer: string
  readonly person: {
    readonly sub: string
    /** What the person types, by name of the field; the one-time code only where the login is meant to be strong. */
    readonly knows: (strong: boolean) => Record<string, string>
  }
  /** Keycloak only: somebody whose second factor is a security key. */
  readonly keyHolder?: { readonly knows: (html: string) => Record<string, string> }
  readonly stop: () => Promise<void>
}
