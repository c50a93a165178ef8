/** One OpenBao policy per process role, with the least that it needs. A role that is not named here reaches nothing. */

const path = (pattern: string, ...capabilities: string[]): string =>
  `path "${pattern}" { capabilities = [${capabilities.map((capability) => `"${capability}"`).join(', ')}] }`

const readOrganizationSecrets = [path('leasehold/data/organizations/*', 'read'), path('leasehold-transit/decrypt/org-wrap', 'update')]

export const policies = {
  'leasehold-api': [
    ...readOrganizationSecrets,
    // Making a version only: check-and-set 0 is sent, and `update` is not given, so that none can be overwritten.
    path('leasehold/data/organizations/+/+/+', 'create', 'read'),
    path('leasehold/data/accounts/+/+', 'create', 'read'),
    path('leasehold-transit/encrypt/org-wrap', 'update'),
    path('leasehold-transit/keys/connector-signing', 'read'),
  ].join('\n'),
  'leasehold-worker': [
    ...readOrganizationSecrets,
    path('leasehold/data/accounts/*', 'read'),
    path('leasehold/data/temporal/+', 'create', 'read'),
    path('leasehold-transit/encrypt/namespace-wrap', 'update'),
    path('leasehold-transit/decrypt/namespace-wrap', 'update'),
  ].join('\n'),
  'leasehold-bridge': [
    ...readOrganizationSecrets,
    path('leasehold-transit/keys/connector-signing', 'read'),
    path('leasehold-transit/sign/connector-signing', 'update'),
    path('leasehold-transit/keys/nats-operator', 'read'),
    path('leasehold-transit/keys/nats-system', 'read'),
    // Making a key takes its type and no other parameter: neither an export nor a deletion can be allowed this way.
    'path "leasehold-transit/keys/nats-org-*" { capabilities = ["create", "update", "read"] allowed_parameters = { "type" = ["ed25519"], "exportable" = [false] } }',
    path('leasehold-transit/sign/nats-*', 'update'),
  ].join('\n'),
} as const

export type BaoRole = keyof typeof policies
