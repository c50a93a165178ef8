import { randomUUID } from 'node:crypto'
import {
  administers,
  anyRole,
  holder,
  manages,
  people,
  seesAdministration,
  seesConnectors,
  seesDirectory,
  seesHosts,
  seesLeases,
  seesVault,
  type Person,
} from './matrix-people.ts'

/** Who may do what, by hand: beside the rules of the code, so that a mistake there is seen here. */

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
  readonly rotation: string
  readonly job: string
  readonly user: string
  readonly idpUser: string
  readonly group: string
  readonly role: string
  readonly assignment: string
  readonly policySet: string
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

const fresh = () => ({ name: `made ${randomUUID()}` })
const collection = (path: string, may: readonly Person[]): Row => ({ path: () => path, may, answer: 200 })
const item = (path: Row['path'], may: readonly Person[], sees: readonly Person[] = []): Row => ({ path, may, answer: 200, sees })
const create = (path: string, may: readonly Person[], body: NonNullable<Row['body']>, sees?: readonly Person[]): Row => ({
  path: () => path,
  may,
  answer: 201,
  body,
  ...(sees && { sees }),
})
const stale = (path: Row['path'], may: readonly Person[], sees: readonly Person[], body?: object): Row => ({
  path,
  may,
  sees,
  answer: 412,
  stale: true,
  ...(body && { body: () => body }),
})

const organization =
  (rest = '') =>
  (things: Things) =>
    `/v1/organizations/${things.organization}${rest}`
const vault =
  (rest = '') =>
  (things: Things) =>
    `/v1/identity-groups/${things.vault}${rest}`
const group =
  (rest = '') =>
  (things: Things) =>
    `/v1/idp-groups/${things.group}${rest}`
const role =
  (rest = '') =>
  (things: Things) =>
    `/v1/roles/${things.role}${rest}`
const lease =
  (rest = '') =>
  (things: Things) =>
    `/v1/leases/${things.lease}${rest}`

/** Method and path template of the OpenAPI document -> row. */
export const rows: Readonly<Record<string, Row>> = {
  'GET /v1/me': collection('/v1/me', people),
  'GET /v1/me/access': collection('/v1/me/access', people),

  'GET /v1/organizations': collection('/v1/organizations', anyRole),
  'POST /v1/organizations': create('/v1/organizations', administers, fresh),
  'GET /v1/organizations/{id}': item(organization(), anyRole),
  'PATCH /v1/organizations/{id}': stale(organization(), administers, anyRole, { name: 'x' }),
  'GET /v1/organizations/{id}/secret': item(organization('/secret'), anyRole),
  'PUT /v1/organizations/{id}/secret': { path: organization('/secret'), may: administers, sees: anyRole, answer: 409, body: () => ({}) },
  'POST /v1/organizations/{id}/secret/rotate': { path: organization('/secret/rotate'), may: administers, sees: anyRole, answer: 409, body: () => ({}) },
  'GET /v1/organizations/{id}/step-up': item(organization('/step-up'), anyRole),
  'PUT /v1/organizations/{id}/step-up': stale(organization('/step-up'), administers, anyRole, { reveal: null }),
  'GET /v1/organizations/{id}/legacy-import': item(organization('/legacy-import'), anyRole),
  'POST /v1/organizations/{id}/legacy-import': {
    path: organization('/legacy-import'),
    may: administers,
    sees: anyRole,
    answer: 409,
    body: ({ vault: identityGroupId }) => ({
      rows: [{ identityGroupId, ...fresh(), username: 'x', credentialType: 'password', encryptionVersion: 0, ciphertext: 'eA==' }],
    }),
  },
  'POST /v1/organizations/{id}/legacy-import/open': {
    path: organization('/legacy-import/open'),
    may: administers,
    sees: anyRole,
    answer: 409,
    body: () => ({}),
  },
  'POST /v1/organizations/{id}/legacy-import/close': {
    path: organization('/legacy-import/close'),
    may: administers,
    sees: anyRole,
    answer: 200,
    body: () => ({}),
  },

  'GET /v1/identity-groups': collection('/v1/identity-groups', seesVault),
  'POST /v1/identity-groups': create('/v1/identity-groups', manages, ({ organization: organizationId }) => ({ organizationId, ...fresh() })),
  'GET /v1/identity-groups/{id}': item(vault(), seesVault),
  'PATCH /v1/identity-groups/{id}': stale(vault(), manages, seesVault, { name: 'x' }),
  'DELETE /v1/identity-groups/{id}': stale(vault(), manages, seesVault),
  'GET /v1/identity-groups/{id}/access': item(vault('/access'), [...manages, 'audit'], seesVault),
  'GET /v1/identity-groups/{id}/grants': item(vault('/grants'), [...manages, 'audit'], seesVault),
  'POST /v1/identity-groups/{id}/grants': {
    path: vault('/grants'),
    may: manages,
    sees: seesVault,
    answer: 409,
    body: ({ idpUser: id }) => ({ principal: { type: 'user', id }, level: 'view_vault' }),
  },
  'GET /v1/identity-groups/{id}/grants/{grantId}': item((things) => vault(`/grants/${things.grant}`)(things), [...manages, 'audit'], seesVault),
  'DELETE /v1/identity-groups/{id}/grants/{grantId}': {
    path: (things) => vault(`/grants/${things.grant}`)(things),
    may: manages,
    sees: seesVault,
    answer: 204,
  },

  'GET /v1/identities': collection('/v1/identities', seesVault),
  'POST /v1/identities': create(
    '/v1/identities',
    manages,
    ({ vault: identityGroupId }) => ({ identityGroupId, ...fresh(), username: 'x', credentialType: 'password', credential: 'x' }),
    seesVault,
  ),
  'GET /v1/identities/{id}': item(({ identity }) => `/v1/identities/${identity}`, seesVault),
  'PATCH /v1/identities/{id}': stale(({ identity }) => `/v1/identities/${identity}`, manages, seesVault, { name: 'x' }),
  'DELETE /v1/identities/{id}': stale(({ identity }) => `/v1/identities/${identity}`, manages, seesVault),
  'POST /v1/identities/{id}/move': {
    path: ({ identity }) => `/v1/identities/${identity}/move`,
    may: manages,
    sees: seesVault,
    answer: 412,
    stale: true,
    body: ({ vault: identityGroupId }) => ({ identityGroupId }),
  },
  'POST /v1/identities/{id}/reveal': {
    path: ({ disabledIdentity }) => `/v1/identities/${disabledIdentity}/reveal`,
    may: ['owner', 'view+view_credentials', 'view+checkout'],
    sees: seesVault,
    answer: 409,
    body: () => ({}),
  },
  'POST /v1/identities/{id}/checkout': {
    path: ({ disabledIdentity }) => `/v1/identities/${disabledIdentity}/checkout`,
    may: ['owner', 'view+checkout'],
    sees: seesVault,
    answer: 409,
    body: () => ({ reason: 'x', durationMinutes: 5 }),
  },
  'POST /v1/identities/{id}/rotate': {
    path: ({ rotatingIdentity }) => `/v1/identities/${rotatingIdentity}/rotate`,
    may: manages,
    sees: seesVault,
    answer: 409,
    body: () => ({}),
  },

  'GET /v1/leases': collection('/v1/leases', seesVault),
  'GET /v1/leases/{id}': item(lease(), seesLeases),
  'POST /v1/leases/{id}/credential': { path: lease('/credential'), may: holder, sees: seesLeases, answer: 200, body: () => ({}) },
  'POST /v1/leases/{id}/extend': { path: lease('/extend'), may: holder, sees: seesLeases, answer: 200, body: () => ({ minutes: 5 }) },
  'POST /v1/leases/{id}/checkin': { path: lease('/checkin'), may: holder, sees: seesLeases, answer: 200, body: () => ({}) },
  'POST /v1/leases/{id}/force-checkin': { path: lease('/force-checkin'), may: manages, sees: seesLeases, answer: 200, body: () => ({ reason: 'x' }) },

  'GET /v1/rotations': collection('/v1/rotations', seesVault),
  'GET /v1/rotations/{id}': item(({ rotation }) => `/v1/rotations/${rotation}`, seesVault),
  'GET /v1/rotations/{id}/events': { ...item(({ rotation }) => `/v1/rotations/${rotation}/events`, seesVault), stream: true },
  'POST /v1/rotations/{id}/resolve': {
    path: ({ rotation }) => `/v1/rotations/${rotation}/resolve`,
    may: manages,
    sees: seesVault,
    answer: 409,
    body: () => ({ outcome: 'applied', reason: 'x' }),
  },
  'POST /v1/rotations/{id}/credentials': {
    path: ({ rotation }) => `/v1/rotations/${rotation}/credentials`,
    may: ['owner'],
    sees: seesVault,
    answer: 409,
    body: () => ({}),
  },
  'GET /v1/jobs': collection('/v1/jobs', seesVault),
  'GET /v1/jobs/{id}': item(({ job }) => `/v1/jobs/${job}`, seesVault),

  'GET /v1/hosts': collection('/v1/hosts', seesHosts),
  'POST /v1/hosts': create('/v1/hosts', manages, ({ organization: organizationId, connector: connectorId }) => ({
    organizationId,
    ...fresh(),
    address: '127.0.0.1',
    port: 5432,
    adapter: 'postgres',
    connectorId,
  })),
  'GET /v1/hosts/{id}': item(({ host }) => `/v1/hosts/${host}`, seesHosts),
  'PATCH /v1/hosts/{id}': stale(({ host }) => `/v1/hosts/${host}`, manages, seesHosts, { name: 'x' }),
  'DELETE /v1/hosts/{id}': stale(({ host }) => `/v1/hosts/${host}`, manages, seesHosts),

  'GET /v1/connectors': collection('/v1/connectors', seesConnectors),
  'POST /v1/connectors': create('/v1/connectors', ['owner', 'connectors'], ({ organization: organizationId }) => ({ organizationId, ...fresh() })),
  'GET /v1/connectors/{id}': item(({ connector }) => `/v1/connectors/${connector}`, seesConnectors),
  'PATCH /v1/connectors/{id}': stale(({ connector }) => `/v1/connectors/${connector}`, ['owner', 'connectors'], seesConnectors, { name: 'x' }),
  'DELETE /v1/connectors/{id}': stale(({ connector }) => `/v1/connectors/${connector}`, ['owner', 'connectors'], seesConnectors),
  'POST /v1/connectors/{id}/join-tokens': {
    path: ({ connector }) => `/v1/connectors/${connector}/join-tokens`,
    may: ['owner', 'connectors'],
    sees: seesConnectors,
    answer: 201,
    body: () => ({}),
  },

  'GET /v1/principals': collection('/v1/principals', seesDirectory),
  'GET /v1/users': collection('/v1/users', seesAdministration),
  'POST /v1/users': create('/v1/users', administers, () => ({ sub: randomUUID() })),
  'GET /v1/users/{id}': item(({ user }) => `/v1/users/${user}`, seesAdministration),
  'PATCH /v1/users/{id}': stale(({ user }) => `/v1/users/${user}`, administers, seesAdministration, { state: 'disabled' }),
  'GET /v1/idp-users': collection('/v1/idp-users', seesDirectory),
  'POST /v1/idp-users': create('/v1/idp-users', administers, () => ({ email: `${randomUUID()}@acme.example` }), seesDirectory),
  'GET /v1/idp-users/{id}': item(({ idpUser }) => `/v1/idp-users/${idpUser}`, seesDirectory),
  'PATCH /v1/idp-users/{id}': stale(({ idpUser }) => `/v1/idp-users/${idpUser}`, administers, seesDirectory, { name: 'x' }),
  'GET /v1/idp-groups': collection('/v1/idp-groups', seesDirectory),
  'POST /v1/idp-groups': create('/v1/idp-groups', administers, fresh, seesDirectory),
  'GET /v1/idp-groups/{id}': item(group(), seesDirectory),
  'PATCH /v1/idp-groups/{id}': stale(group(), administers, seesDirectory, { name: 'x' }),
  'DELETE /v1/idp-groups/{id}': stale(group(), administers, seesDirectory),
  'GET /v1/idp-groups/{id}/members': item(group('/members'), seesDirectory),
  'PUT /v1/idp-groups/{id}/members/{idpUserId}': {
    path: (things) => group(`/members/${things.idpUser}`)(things),
    may: administers,
    sees: seesDirectory,
    answer: 204,
  },
  'DELETE /v1/idp-groups/{id}/members/{idpUserId}': {
    path: (things) => group(`/members/${things.idpUser}`)(things),
    may: administers,
    sees: seesDirectory,
    answer: 204,
  },

  'GET /v1/roles': collection('/v1/roles', seesAdministration),
  'POST /v1/roles': create('/v1/roles', administers, () => ({ ...fresh(), permissions: [] })),
  'GET /v1/roles/{id}': item(role(), seesAdministration),
  'PATCH /v1/roles/{id}': stale(role(), administers, seesAdministration, { name: 'x' }),
  'DELETE /v1/roles/{id}': stale(role(), administers, seesAdministration),
  'GET /v1/roles/{id}/assignments': item(role('/assignments'), seesAdministration),
  'POST /v1/roles/{id}/assignments': {
    path: role('/assignments'),
    may: administers,
    sees: seesAdministration,
    answer: 409,
    body: ({ idpUser: id }) => ({ principal: { type: 'user', id } }),
  },
  'GET /v1/roles/{id}/assignments/{assignmentId}': item((things) => role(`/assignments/${things.assignment}`)(things), seesAdministration),
  'DELETE /v1/roles/{id}/assignments/{assignmentId}': {
    path: (things) => role(`/assignments/${things.assignment}`)(things),
    may: administers,
    sees: seesAdministration,
    answer: 204,
  },

  'GET /v1/policy-sets': collection('/v1/policy-sets', seesAdministration),
  'POST /v1/policy-sets': create('/v1/policy-sets', administers, () => ({ policies: 'permit (principal, action, resource);' })),
  'GET /v1/policy-sets/{id}': item(({ policySet }) => `/v1/policy-sets/${policySet}`, seesAdministration),
  'POST /v1/policy-sets/{id}/activate': {
    path: ({ policySet }) => `/v1/policy-sets/${policySet}/activate`,
    may: administers,
    sees: seesAdministration,
    answer: 200,
    body: () => ({}),
  },
  'POST /v1/policy-dry-runs': {
    path: () => '/v1/policy-dry-runs',
    may: administers,
    sees: seesAdministration,
    answer: 200,
    body: ({ user: userId }) => ({ userId, action: 'vault.read' }),
  },

  'GET /v1/duties': collection('/v1/duties', administers),
  'POST /v1/duties/{kind}/{subjectId}/retry': { path: ({ rotation }) => `/v1/duties/rotation/${rotation}/retry`, may: administers, sees: [], answer: 200 },
  'POST /v1/duties/reconcile': { path: () => '/v1/duties/reconcile', may: administers, sees: [], answer: 202 },

  'GET /v1/audit/events': collection('/v1/audit/events', ['owner', 'audit']),
}
