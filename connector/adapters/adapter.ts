import type { ReasonClass } from '#schemas/connector-message.ts'

/** Where an account lives. The address is one of the connector's own allow list. */
export interface Target {
  readonly address: string
  readonly port: number
  readonly parameters: Readonly<Record<string, unknown>>
  /** Ends every connection to it: the job was given up. */
  readonly signal?: AbortSignal | undefined
}

export interface Login {
  readonly username: string
  readonly password: string
}

/** What one login proves. `unclear`: the target never judged this password, so nothing is known of it. */
export type LoginOutcome = { readonly login: 'accepted' | 'rejected' } | { readonly login: 'unclear'; readonly reasonClass: ReasonClass }

/** What one change proves. `unchanged`: the target refused it or was never asked; `unknown`: it was sent and nobody knows. */
export type ChangeOutcome = { readonly change: 'applied' } | { readonly change: 'unchanged' | 'unknown'; readonly reasonClass: ReasonClass }

export interface Change {
  /** Who changes it: an admin, or the account itself with its known password. */
  readonly as: Login
  readonly username: string
  /** The value to set. */
  readonly password: string
  /** What the account is known to have; null or absent: nobody knows. */
  readonly known?: string | null
  /**
   * Called directly before the change is sent, nothing waits after it.
   *
   * @returns ms that are left for it; 0: too late, it must not be sent
   */
  readonly beforeSend: () => number
}

/** Takes one of several values away. `unchanged` or `unknown`: it may still be there, and may be taken away again. */
export interface Removal {
  readonly as: Login
  readonly username: string
  readonly password: string
  /** ms that are left for it; 0: too late, it must not be sent. */
  readonly remaining: () => number
}

/** How one kind of target is spoken to. Never throws for what a target does, and never repeats a target's words. */
export interface Adapter {
  readonly change: (target: Target, change: Change) => Promise<ChangeOutcome>
  /** Of targets where an account may have several values at a time, so that a change only adds one. */
  readonly remove?: (target: Target, removal: Removal) => Promise<ChangeOutcome>
  /** Whether this very target is one of those; absent: every one of an adapter that has `remove`. */
  readonly addsValues?: (target: Target) => boolean
  /** One fresh login. */
  readonly logIn: (target: Target, login: Login) => Promise<LoginOutcome>
}
