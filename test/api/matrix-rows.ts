import { randomUUID } from 'node:crypto'
import { createSoftKey } from '../support/soft-key.ts'
import { administrationRows } from './matrix-administration.ts'
import { approvalRows } from './matrix-approvals.ts'
import { administers, anyRole, holder, manages, people, seesConnectors, seesHosts, seesLeases, seesVault } from './matrix-people.ts'
import { fresh, collection, item, create, stale, organization, vault, campaign, lease, type Row } from './matrix-row.ts'

/** Who may do what, by hand: beside the rules of the code, so that a mistake there is seen here. */

/** Method and path template of the OpenAPI document -> row. */
export const rows: Readonly<Record<string, Row>> = {
  'GET /v1/me': collection('/v1/me', people),
  'GET /v1/me/access': collection('/v1/me/access', people),
  'GET /v1/me/break-glass-credential': collection('/v1/me/break-glass-credential', people),
  'PUT /v1/me/break-glass-credential': {
    path: () => '/v1/me/break-glass-credential',
    may: ['owner', 'break_glass'],
    answer: 200,
    body: () => ({ passphrase: 'seven quiet herons over the weir' }),
  },
  'POST /v1/me/break-glass-credential/challenge': {
    path: () => '/v1/me/break-glass-credential/challenge',
    may: people,
    answer: 200,
    // Of whatever identity: it says nothing about it.
    body: () => ({ identityId: randomUUID() }),
  },
  'POST /v1/me/break-glass-credential/security-keys/challenge': {
    path: () => '/v1/me/break-glass-credential/security-keys/challenge',
    may: ['owner', 'break_glass'],
    answer: 200,
  },
  'POST /v1/me/break-glass-credential/security-keys': {
    path: () => '/v1/me/break-glass-credential/security-keys',
    may: ['owner', 'break_glass'],
    // Whoever may must have a key that has signed besides.
    answer: 401,
    body: () => ({ name: 'x', credential: createSoftKey().register('AA', 'https://leasehold.example') }),
  },
  // Nobody has enrolled one.
  'DELETE /v1/me/break-glass-credential/security-keys/{id}': {
    path: () => `/v1/me/break-glass-credential/security-keys/${randomUUID()}`,
    may: ['owner', 'break_glass'],
    answer: 404,
  },

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
  'POST /v1/identities/{id}/break-glass': {
    path: ({ identity }) => `/v1/identities/${identity}/break-glass`,
    may: ['owner', 'break_glass'],
    sees: seesVault,
    // Whoever may must have a passphrase besides.
    answer: 401,
    body: () => ({ reason: 'x', justification: 'nobody can be asked', breakGlassCredential: 'not the one' }),
  },
  'POST /v1/identities/{id}/rotate': {
    path: ({ rotatingIdentity }) => `/v1/identities/${rotatingIdentity}/rotate`,
    may: manages,
    sees: seesVault,
    answer: 409,
    body: () => ({}),
  },
  'GET /v1/identities/{id}/check': item(({ identity }) => `/v1/identities/${identity}/check`, seesVault),
  'POST /v1/identities/{id}/check': {
    path: ({ rotatingIdentity }) => `/v1/identities/${rotatingIdentity}/check`,
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

  'PUT /v1/me/break-glass-totp': { path: () => '/v1/me/break-glass-totp', may: ['owner', 'break_glass'], answer: 200 },
  'POST /v1/me/break-glass-totp/confirm': {
    path: () => '/v1/me/break-glass-totp/confirm',
    may: ['owner', 'break_glass'],
    answer: 401,
    body: () => ({ code: '000000' }),
  },
  'GET /v1/break-glass-reviews': collection('/v1/break-glass-reviews', [...manages, 'audit']),
  'GET /v1/break-glass-reviews/{id}': item(({ review }) => `/v1/break-glass-reviews/${review}`, [...manages, 'audit', 'break_glass']),
  'GET /v1/break-glass-reviews/{id}/evidence': item(
    ({ review }) => `/v1/break-glass-reviews/${review}/evidence`,
    ['owner', 'audit'],
    ['manage', 'break_glass'],
  ),
  'POST /v1/break-glass-reviews/{id}/sign': {
    path: ({ review }) => `/v1/break-glass-reviews/${review}/sign`,
    may: manages,
    // It is a use of theirs.
    sees: ['audit', 'break_glass'],
    answer: 409,
    body: () => ({ finding: 'looked at by somebody else' }),
  },

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
  'GET /v1/rotation-campaigns': collection('/v1/rotation-campaigns', seesLeases),
  'POST /v1/rotation-campaigns': create('/v1/rotation-campaigns', manages, ({ organization: organizationId, identity }) => ({
    organizationId,
    identityIds: [identity],
    reason: 'x',
  })),
  'GET /v1/rotation-campaigns/{id}': item(campaign(), seesLeases),
  'GET /v1/rotation-campaigns/{id}/items': item(campaign('/items'), seesLeases),
  'POST /v1/rotation-campaigns/{id}/pause': { path: campaign('/pause'), may: manages, sees: seesLeases, answer: 200, body: () => ({}) },
  'POST /v1/rotation-campaigns/{id}/resume': { path: campaign('/resume'), may: manages, sees: seesLeases, answer: 200, body: () => ({}) },
  'POST /v1/rotation-campaigns/{id}/abort': { path: campaign('/abort'), may: manages, sees: seesLeases, answer: 200, body: () => ({}) },

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

  'POST /v1/hosts/{id}/enroll': {
    path: ({ host }) => `/v1/hosts/${host}/enroll`,
    may: ['owner', 'manage_users'],
    sees: seesHosts,
    answer: 409,
    body: ({ vault: identityGroupId }) => ({ username: 'root', identityGroupId }),
  },
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

  ...approvalRows,
  ...administrationRows,
}
