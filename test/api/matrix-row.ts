import { randomUUID } from 'node:crypto'
import type { Person } from './matrix-people.ts'

/** Ids of what there is to act on. */
export interface Things {
  readonly organization: string
  readonly vault: string
  readonly grant: string
  readonly identity: string
  readonly disabledIdentity: string
  readonly rotatingIdentity: string
  readonly host: string
  readonly connector: string
  readonly lease: string
  /** Of a break-glass use that is not over. */
  readonly review: string
  readonly rotation: string
  readonly campaign: string
  readonly job: string
  readonly user: string
  readonly idpUser: string
  readonly group: string
  readonly role: string
  readonly assignment: string
  readonly policySet: string
  readonly notice: string
  readonly channel: string
  readonly guardedIdentity: string
  readonly approvalPolicy: string
  readonly accessRequest: string
  readonly decisionLink: string
  readonly recertification: string
  readonly recertificationItem: string
}

export interface Row {
  /** Path with things in place of parameters. */
  readonly path: (things: Things) => string
  readonly body?: (things: Things) => object
  /** Who gets through, and what they are answered then: 412 (If-Match) or 409 where doing it would change what others are asked about. */
  readonly may: readonly Person[]
  readonly answer: number
  /** Who may not, but may know that it is there: 403. Everybody else: 404, or 403 where there is nothing to hide. */
  readonly sees?: readonly Person[]
  /** The answer does not end by itself. */
  readonly stream?: true
  /** Sends an If-Match that no version has. */
  readonly stale?: true
}

export const fresh = () => ({ name: `made ${randomUUID()}` })
export const collection = (path: string, may: readonly Person[]): Row => ({ path: () => path, may, answer: 200 })
export const item = (path: Row['path'], may: readonly Person[], sees: readonly Person[] = []): Row => ({ path, may, answer: 200, sees })
export const create = (path: string, may: readonly Person[], body: NonNullable<Row['body']>, sees?: readonly Person[]): Row => ({
  path: () => path,
  may,
  answer: 201,
  body,
  ...(sees && { sees }),
})
export const stale = (path: Row['path'], may: readonly Person[], sees: readonly Person[], body?: object): Row => ({
  path,
  may,
  sees,
  answer: 412,
  stale: true,
  ...(body && { body: () => body }),
})

export const organization =
  (rest = '') =>
  (things: Things) =>
    `/v1/organizations/${things.organization}${rest}`
export const vault =
  (rest = '') =>
  (things: Things) =>
    `/v1/identity-groups/${things.vault}${rest}`
export const campaign =
  (rest = '') =>
  (things: Things) =>
    `/v1/rotation-campaigns/${things.campaign}${rest}`
export const group =
  (rest = '') =>
  (things: Things) =>
    `/v1/idp-groups/${things.group}${rest}`
export const role =
  (rest = '') =>
  (things: Things) =>
    `/v1/roles/${things.role}${rest}`
export const lease =
  (rest = '') =>
  (things: Things) =>
    `/v1/leases/${things.lease}${rest}`
