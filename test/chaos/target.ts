import type { ApiClient } from '#stack/api-client.ts'
import type { CutProxy } from '../support/cut-proxy.ts'

export interface Login {
  readonly username: string
  readonly password: string
}

/** A host with accounts, behind a line that can be made as bad as a network gets. */
export interface Place {
  readonly name: string
  readonly hostId: string
  /** Between the connector and the host; the checks go around it. Absent: the connector dials the host itself. */
  readonly line?: CutProxy
  /** @param as name and password that are wanted; Linux accounts are named by whoever makes them */
  readonly create: (as?: Login) => Promise<Login>
  /** Sets a password as a person on the host would, without the vault. */
  readonly set: (login: Login) => Promise<void>
  readonly logsIn: (login: Login) => Promise<boolean>
  /** Makes the host's own policy refuse what is shorter; absent: it has none that could be changed. */
  readonly require?: (length: number) => Promise<void>
}

/** An identity, and every place where its password is the one that logs in. */
export interface Account {
  readonly identityId: string
  readonly username: string
  readonly places: readonly Place[]
}

/** Where the accounts of a cell are. */
export interface Target {
  readonly name: string
  readonly places: readonly Place[]
  readonly account: () => Promise<Account>
}

/** Where identities are made, and who makes them. */
export interface Vault {
  readonly mia: () => Promise<ApiClient>
  readonly vaultId: string
}
