import type { z } from 'zod'
import type { Resource } from '#policy/decide.ts'
import type { Action } from '#policy/rules.ts'
import type { Actor } from '#schemas/audit-event.ts'
import type { ErrorCode } from '#schemas/errors.ts'
import type { Principal } from '#schemas/principal.ts'
import type { RunInAccount, Transaction } from '#store/connection.ts'
import type { AccessToken } from './access-token.ts'
import type { Login } from './authenticate.ts'
import type { Idempotency } from './idempotency.ts'
import type { Trace } from './trace.ts'

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

/** One route of the API: what it takes, which action it is, and what it answers. The OpenAPI document is made from it. */
export interface RouteSpec<Params, Query, Body, Found> {
  readonly method: Method
  /** With `:name` for parameters; each is described in `params`. */
  readonly path: string
  /** The one thing that `authorize` decides on. */
  readonly action: Action
  /** One line for the OpenAPI document. */
  readonly summary: string
  /** A malformed parameter answers 404: nothing has such an id. */
  readonly params?: z.ZodType<Params>
  /** A strict object. */
  readonly query?: z.ZodType<Query>
  /** A strict object; required unless it accepts `{}`. */
  readonly body?: z.ZodType<Body>
  /** Status -> schema of the answer; null: no content. */
  readonly answers: Readonly<Record<number, z.ZodType | null>>
  /** What of the body policies may judge. */
  readonly asked?: (body: Body) => { readonly minutes?: number }
  /**
   * Whether what a policy with the obligation `require_approval` asks for is there, or is seen to by the handler. Absent: such a
   * permit permits nothing here.
   */
  readonly approved?: (found: Found) => boolean
  /** Every outcome is counted, a denial too. */
  readonly counted?: 'checkout'
  /** Each transaction ends with a look at the caller's right: nothing is given, or shown on, by whoever has lost theirs meanwhile. */
  readonly confirms?: true
  /** A token for break-glass without the provider does too, where the organization of what is found lets it. */
  readonly emergency?: true
  /** It has a limit of its own, and the caller's does not count it (break-glass). */
  readonly ownLimit?: true
  /** The item has a version: answers with it carry an ETag, and changes of it take If-Match (412). */
  readonly versioned?: true
  /** Codes that this route may answer besides those that follow from its shape (api/refusals.ts). */
  readonly refuses?: readonly ErrorCode[]
  /** The request needs an Idempotency-Key; `context.idempotency` is there. */
  readonly idempotent?: true
  /**
   * Reads what the action is done to, beside the principal and in the same transaction; `context.found` is what it returns.
   * Undefined: 404. Without `find` the action is on the account itself, or on a collection.
   */
  readonly find?: (trx: Transaction, request: FindRequest<Params, Query, Body>) => Promise<(Resource & Found) | undefined>
  /** `find` starts all its statements before it waits for any: everything is read in one journey to PostgreSQL. */
  readonly findAtOnce?: true
}

export interface FindRequest<Params, Query, Body> {
  readonly caller: Login
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly idempotency: Idempotency | undefined
}

export interface RouteContext<Params, Query, Body, Found> {
  readonly principal: Principal
  readonly actor: Actor
  /** When the decision that permits this ends; null: it does not. Nothing that is given by it lasts longer. */
  readonly decisionEndsAt: Date | null
  /** How many people must agree at least, by the policies of the account; 0: nobody. */
  readonly approvers: number
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly found: Resource & Found
  /** Only with `idempotent: true`. */
  readonly idempotency: Idempotency
  readonly trace: Trace
  readonly token: AccessToken
  readonly request: Request
  /** Runs one transaction of the caller's account. */
  readonly inAccount: RunInAccount
}

export interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
}

/** What a handler answers. @param body JSON; null with 204 */
export const reply = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Reply => ({ status, body, headers })

/** Adds a route. The handler runs after authentication, validation and authorization; what it throws becomes a problem. */
export type DefineRoute = <Params = Record<string, never>, Query = Record<string, never>, Body = Record<string, never>, Found = unknown>(
  spec: RouteSpec<Params, Query, Body, Found>,
  handler: (context: RouteContext<Params, Query, Body, Found>) => Promise<Reply | Response> | Reply | Response,
) => void
