import { randomUUID } from 'node:crypto'
import { administers, manages, people, seesAdministration, seesDirectory, seesSupport } from './matrix-people.ts'
import { fresh, collection, item, create, stale, group, role, type Row } from './matrix-row.ts'

/** People, roles, policies, duties and the log. */
export const administrationRows: Readonly<Record<string, Row>> = {
  'GET /v1/principals': collection('/v1/principals', seesDirectory),
  'GET /v1/users': collection('/v1/users', seesAdministration),
  'POST /v1/users': create('/v1/users', administers, () => ({ sub: randomUUID() })),
  'GET /v1/users/{id}': item(({ user }) => `/v1/users/${user}`, seesAdministration),
  'PATCH /v1/users/{id}': stale(({ user }) => `/v1/users/${user}`, administers, seesAdministration, { state: 'disabled' }),
  // Nobody has enrolled one there.
  'DELETE /v1/users/{id}/break-glass-credential': {
    path: ({ user }) => `/v1/users/${user}/break-glass-credential`,
    may: [...administers, 'manage'],
    sees: ['audit'],
    answer: 404,
  },
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

  'GET /v1/notices': collection('/v1/notices', people),
  'GET /v1/notices/{id}': { path: ({ notice }) => `/v1/notices/${notice}`, may: manages, sees: [], answer: 200 },
  'GET /v1/notification-channels': collection('/v1/notification-channels', seesAdministration),
  'POST /v1/notification-channels': create('/v1/notification-channels', administers, () => ({ ...fresh(), type: 'smtp', settings: {} })),
  'GET /v1/notification-channels/{id}': item(({ channel }) => `/v1/notification-channels/${channel}`, seesAdministration),
  'PATCH /v1/notification-channels/{id}': stale(({ channel }) => `/v1/notification-channels/${channel}`, administers, seesAdministration, { name: 'x' }),
  'DELETE /v1/notification-channels/{id}': stale(({ channel }) => `/v1/notification-channels/${channel}`, administers, seesAdministration),
  'POST /v1/notification-channels/{id}/test': {
    path: ({ channel }) => `/v1/notification-channels/${channel}/test`,
    may: administers,
    sees: seesAdministration,
    answer: 200,
    body: () => ({}),
  },

  'GET /v1/support-access': collection('/v1/support-access', seesSupport),
  'PUT /v1/support-access': { path: () => '/v1/support-access', may: ['owner', 'support'], sees: seesSupport, answer: 200, body: () => ({ enabled: false }) },
  'POST /v1/support-access/emergency-disable': {
    path: () => '/v1/support-access/emergency-disable',
    may: ['owner', 'support'],
    sees: seesSupport,
    answer: 200,
    body: () => ({}),
  },
  'GET /v1/support-access/audit-log': collection('/v1/support-access/audit-log', seesSupport),
  'GET /v1/support-access/users': collection('/v1/support-access/users', seesSupport),
  'POST /v1/support-access/users': create(
    '/v1/support-access/users',
    ['owner', 'support'],
    () => ({ sub: randomUUID(), email: `${randomUUID()}@vendor.example` }),
    seesSupport,
  ),

  'GET /v1/audit/events': collection('/v1/audit/events', ['owner', 'audit']),
}
