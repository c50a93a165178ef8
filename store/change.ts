import type { Actor } from '#schemas/audit-event.ts'
import type { Principal } from '#schemas/principal.ts'

/** Who changes which item of the directory or of the roles, and which version of it is meant. */
export interface Change<Id = string> {
  readonly id: Id
  readonly caller: Principal
  readonly actor: Actor
  /** From If-Match; absent: any. */
  readonly expectedVersion?: number | undefined
}
