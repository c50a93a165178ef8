/**
 * The one table of errors. A code is a stable, public name: it becomes the problem+json `code`
 * (RFC 9457), the `type` of a Temporal ApplicationFailure and the exit status of the CLI.
 * The table is free of dependencies so that workflow code may import it.
 */

export interface ErrorRow {
  /** HTTP status code. */
  readonly status: number
  /** One sentence in the words of the manual; never holds a value that a caller sent. */
  readonly title: string
  /** Whether the very same request may succeed later without anybody changing it. */
  readonly retryable: boolean
  /** What the caller can do next. */
  readonly hint: string
}

const row = (status: number, title: string, hint: string, retryable = false): ErrorRow => ({ status, title, hint, retryable })

export const errors = {
  'invalid-request': row(400, 'The request could not be read', 'Send well-formed JSON that follows the OpenAPI document.'),
  'idempotency-key-required': row(
    400,
    'Idempotency-Key header is required',
    'Send a fresh Idempotency-Key (1-255 visible ASCII characters) and keep it for retries.',
  ),
  'invalid-token': row(401, 'The access token is not valid', 'Get a new access token from the identity provider of this installation.'),
  'invalid-dpop-proof': row(401, 'The DPoP proof is not valid', 'Make a fresh proof for this method and URL with the key the token is bound to (RFC 9449).'),
  'use-dpop-nonce': row(401, 'The DPoP proof needs a nonce of this server', 'Make the proof again with the nonce of the DPoP-Nonce header (RFC 9449).', true),
  'insufficient-user-authentication': row(
    401,
    'A stronger or fresher login is needed',
    'Log in again with the acr_values of the WWW-Authenticate header (RFC 9470).',
  ),
  'break-glass-credential-refused': row(
    401,
    'The break-glass credential is not right',
    'Send the passphrase that you enrolled, or a fresh challenge signed by a security key of yours; after 5 wrong ones nobody looks at another for 15 minutes.',
  ),
  'invalid-join-token': row(401, 'The join token is not valid', 'Ask for a new join token; it is single use and lives 15 minutes.'),
  forbidden: row(403, 'You are not allowed to do this', 'Ask an administrator of the account for the missing permission or vault access.'),
  'uses-exhausted': row(403, 'The uses that a policy allows are used up', 'Log in again for a fresh decision, or wait until the time in until.'),
  'token-used-before': row(403, 'This access token was used for this before', 'Get a new access token: a policy allows one use of each.'),
  'binding-changed': row(403, 'Another key holds the decision that this rests on', 'Use the key of the first use, or wait until the time in until.'),
  'no-idp-user-mapping': row(403, 'No IDP user mapping', 'Create an IDP user with the same verified email, or use an account owner role.'),
  'approval-required': row(403, 'This identity is used with the approval of others only', 'Check out: the answer is an access request that others decide on.'),
  'approvals-lost': row(
    403,
    'There this identity could be used without the approvals that it needs now',
    'Give the other vault an approval policy that is as strict, or the identity one of its own, or ask an owner of the account.',
  ),
  'inject-only': row(403, 'This credential is never shown', 'Start a session instead; the credential is injected at the target.'),
  'not-found': row(404, 'Not found', 'Check the id; what you may not see answers the same.'),
  'method-not-allowed': row(405, 'This resource has no such method', 'Use one of the methods in Allow.'),
  'identity-checked-out': row(409, 'Identity is already checked out', 'Wait for the checkin or ask the holder to check in.', true),
  'max-concurrent-sessions': row(409, 'Maximum concurrent sessions reached', 'Wait for a checkin or raise the maximum of concurrent sessions.', true),
  'identity-rotating': row(409, 'The password of this identity is being changed on the target', 'Try again in a few seconds.', true),
  'identity-awaiting-rotation': row(
    409,
    'This identity must be rotated before it can be checked out again',
    'Wait for the rotation; GET /v1/rotations shows what it waits for.',
    true,
  ),
  'identity-draining': row(
    409,
    'This identity takes no new checkouts until its rotation went through',
    'Wait for the rotation; GET /v1/rotations shows what it waits for.',
    true,
  ),
  'identity-currently-checked-out': row(409, 'Cannot rotate while checked out', 'Wait for the checkin or force a checkin first.', true),
  'identity-disabled': row(409, 'This identity is disabled', 'Ask an administrator to enable it.'),
  'rotation-open': row(409, 'A rotation of this identity is already running', 'Follow the rotation named in rotationId.', true),
  'rotation-campaign-over': row(
    409,
    'This rotation campaign is over',
    'GET /v1/rotation-campaigns/{id}/items shows what became of its identities; start another one for those that are left.',
  ),
  'vault-not-empty': row(409, 'Cannot delete group with N identities', 'Remove all identities from the vault first.'),
  'last-owner': row(409, 'The account must keep an owner', 'Make another person an owner first.'),
  'members-follow-claims': row(
    409,
    'The members of this group follow from the claims of their logins',
    'Change the groups at the identity provider, or use a group with source api.',
  ),
  'in-use': row(409, 'Something else still refers to this', 'Remove what refers to it first.'),
  'already-exists': row(409, 'This exists already', 'Use the existing one.'),
  'organization-secret-not-found': row(
    409,
    'Organization secret not found',
    'An administrator must set the organization secret: PUT /v1/organizations/{id}/secret.',
  ),
  'legacy-closed': row(
    409,
    'This organization is not open for legacy rows',
    'An administrator opens it with POST /v1/organizations/{id}/legacy-import/open; once it was closed, that is final.',
  ),
  'nothing-to-resolve': row(409, 'This rotation waits for no person', 'Only a rotation with needsAttention can be resolved; read it again.'),
  'reencryption-running': row(
    409,
    'Values are still being sealed under the newest organization secret',
    'Wait until it is through: GET /v1/organizations/{id}/secret shows how far it is.',
    true,
  ),
  'organization-secret-exists': row(409, 'The organization secret is already set', 'Use POST /v1/organizations/{id}/secret/rotate to add a version.'),
  'host-offline': row(409, 'The host is offline', 'Check the connector of this host.', true),
  'host-required': row(409, 'The hosts of this identity hold different passwords', 'Name the host with hostId.'),
  'break-glass-in-use': row(409, 'This break-glass use is not over yet', 'Wait for its end, or force a checkin of its lease; then review it.'),
  'break-glass-review-signed': row(409, 'This break-glass use is reviewed already', 'Read the finding: GET /v1/break-glass-reviews/{id}.'),
  'lease-not-active': row(409, 'This lease has ended', 'Check out again.'),
  'approvals-missing': row(
    409,
    'The access request needs more approvals',
    'Wait for the approvers: GET /v1/access-requests/{id} shows which step is asked.',
    true,
  ),
  'security-keys-unavailable': row(
    409,
    'This installation takes no security keys',
    'Enrol a passphrase, or ask the operators for a domain: LEASEHOLD_WEBAUTHN_RP_ID.',
  ),
  'access-request-closed': row(409, 'This access request is over', 'Check out again without requestId to make a new one.'),
  'access-request-open': row(409, 'You have an open access request for this', 'Wait for it, edit it, or cancel it: /v1/access-requests/{requestId}.'),
  'access-request-limit': row(409, 'Too many access requests', 'Wait for the approvers, or cancel what you no longer need.'),
  'recertification-closed': row(409, 'This recertification is over', 'Read what has become of it: GET /v1/recertifications/{id}.'),
  'recertification-item-decided': row(409, 'This has been decided', 'Read the item: a removal is final, and what is kept can only be removed until the end.'),
  'link-spent': row(409, 'This link has been used', 'Decide in the list of access requests instead.'),
  'outside-time-window': row(409, 'Approvals are used at other times', 'Wait until the time in until.', true),
  'connector-revoked': row(409, 'This connector is revoked', 'Register a new one.'),
  'job-not-claimable': row(409, 'This job cannot be claimed now', 'Wait for the next offer.', true),
  'stale-state': row(409, 'The state has changed meanwhile', 'Read it again.', true),
  'precondition-failed': row(412, 'The resource has changed meanwhile', 'Read it again and repeat the change with the new ETag.'),
  'payload-too-large': row(413, 'The request body is too large', 'Send at most 256 KiB.'),
  'unsupported-media-type': row(415, 'The request body has a media type that is not read here', 'Send application/json in UTF-8, without Content-Encoding.'),
  'validation-failed': row(422, 'The request has invalid values', 'Correct the fields named in errors.'),
  'idempotency-key-reused': row(422, 'This Idempotency-Key was used for another request', 'Use a fresh Idempotency-Key for a new request.'),
  'quorum-unreachable': row(422, 'Not enough people may approve this', 'Name more approvers in the approval policy, or ask for fewer of them.'),
  'identity-has-no-hosts': row(422, 'This identity has no hosts', 'Add a host, or rotate with vaultOnly and set the password on the target yourself.'),
  'credential-not-rotatable': row(
    422,
    'A host of this identity cannot change this type of credential',
    'Change it on the target yourself and store the new value with PATCH /v1/identities/{id}.',
  ),
  'break-glass-rate-limited': row(
    429,
    'Too many break-glass attempts',
    'Wait for the time in Retry-After: 3 uses a minute per person and organization, 5 wrong credentials in 15 minutes.',
    true,
  ),
  'rate-limited': row(429, 'Too many requests', 'Wait for the time in Retry-After.', true),
  internal: row(500, 'Something went wrong on our side', 'Report the traceId to the operators of this installation.', true),
  'decryption-failed': row(
    500,
    'The stored value failed its integrity check',
    'Report the traceId to the operators: the stored value was changed outside Leasehold.',
  ),
  busy: row(503, 'Others are changing this right now', 'Try again in a second.', true),
  'dependency-unavailable': row(503, 'A server that this call needs does not answer', 'Try again; the problem names the server.', true),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof errors

/** Facts that help the caller; every value is safe to show to whoever made the call. */
export interface ErrorFacts {
  /** Replaces the title where the manual words it with a figure or name in it. */
  readonly detail?: string
  /** `dependency-unavailable`: the server that is down, e.g. `postgres`, `openbao`. */
  readonly role?: string
  /** `validation-failed`: where, and which rule; never the value. */
  readonly errors?: readonly { readonly path: string; readonly message: string }[]
  /** Who holds it and until when. */
  readonly holder?: string
  readonly until?: string
  /** Since when it waits. */
  readonly since?: string
  readonly rotationId?: string
  readonly requestId?: string
  /** What it has become. */
  readonly state?: string
  readonly hostIds?: readonly string[]
  /** Whole seconds, sent as Retry-After. */
  readonly retryAfterSeconds?: number
  /** RFC 9470 challenge: what the next login must be. */
  readonly acrValues?: string
  readonly maxAgeSeconds?: number
  /** What is missing, for a denied caller: a permission or a grant level. */
  readonly missing?: string
  /** Who could give it, by name. */
  readonly ask?: readonly string[]
  /** Policies that denied it, by id. */
  readonly policies?: readonly string[]
  /** Methods that the resource has, sent as Allow. */
  readonly allow?: readonly string[]
}

/** The only error that our own code throws on purpose. `cause` is for logs of the process and never sent. */
export class LeaseholdError extends Error {
  readonly code: ErrorCode
  readonly facts: ErrorFacts

  constructor(code: ErrorCode, facts: ErrorFacts = {}, options?: ErrorOptions) {
    super(facts.detail ?? errors[code].title, options)
    this.name = 'LeaseholdError'
    this.code = code
    this.facts = facts
  }
}
