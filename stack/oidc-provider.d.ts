/** The parts of oidc-provider that we use; the package carries no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export type Configuration = Readonly<Record<string, unknown>>
  export interface InteractionResults {
    readonly login: { readonly accountId: string; readonly acr: string; readonly amr: readonly string[]; readonly remember: boolean }
  }

  export interface Grant {
    addOIDCScope(scope: string): void
    addResourceScope(resource: string, scope: string): void
    save(): Promise<string>
  }

  export interface OidcContext {
    readonly oidc: {
      readonly provider: Provider
      readonly client?: { readonly clientId: string }
      readonly session?: { readonly accountId?: string; readonly acr?: string }
      readonly params?: Readonly<Record<string, unknown>>
      readonly entities: { readonly AuthorizationCode?: { readonly acr?: string; readonly amr?: readonly string[]; readonly authTime?: number } }
    }
  }

  export class Provider {
    constructor(issuer: string, configuration: Configuration)
    readonly Grant: new (owner: { clientId: string; accountId: string }) => Grant
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<unknown>
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: InteractionResults,
      options: { mergeWithLastSubmission: boolean },
    ): Promise<void>
  }

  export class Check {
    constructor(reason: string, description: string, error: string, check: (context: OidcContext) => boolean)
    static readonly REQUEST_PROMPT: boolean
    static readonly NO_NEED_TO_PROMPT: boolean
  }

  export const errors: { readonly InvalidTarget: new () => Error }
  export const interactionPolicy: {
    readonly Check: typeof Check
    base(): { get(name: string): { readonly checks: { add(check: Check): void } } | undefined; remove(name: string): void }
  }
  export default Provider
}
