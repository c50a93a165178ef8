import { rules, type Rule } from '#policy/rules.ts'
import type { ErrorCode } from '#schemas/errors.ts'
import type { AnyRouteSpec } from './openapi.ts'

/** What whoever sends a body may be answered with, with a login or without. */
export const anyBody = [
  'payload-too-large',
  'unsupported-media-type',
  'validation-failed',
  'rate-limited',
  'internal',
  'busy',
  'dependency-unavailable',
] as const satisfies readonly ErrorCode[]

/** What any request may be answered with, before its route decides anything. */
const everywhere: readonly ErrorCode[] = [
  'invalid-request',
  'invalid-token',
  'invalid-dpop-proof',
  'use-dpop-nonce',
  'forbidden',
  'insufficient-user-authentication',
  'uses-exhausted',
  'token-used-before',
  'binding-changed',
  'approval-required',
  ...anyBody,
]

/** Every code that a route may answer: what its shape and the rule of its action bring along, and what it names itself. */
export function refusalsOf(spec: AnyRouteSpec): readonly ErrorCode[] {
  const rule: Rule = rules[spec.action]
  const when = (holds: boolean, ...codes: ErrorCode[]): ErrorCode[] => (holds ? codes : [])
  return [
    ...everywhere,
    ...when(rule.mapping !== undefined, 'no-idp-user-mapping'),
    ...when(spec.params !== undefined || spec.find !== undefined || spec.idempotent === true || rule.visible !== undefined, 'not-found'),
    ...when(spec.idempotent === true, 'idempotency-key-required', 'idempotency-key-reused'),
    ...when(takesIfMatch(spec), 'precondition-failed'),
    ...(spec.refuses ?? []),
  ]
}

/** Whether a request may name the version of the item that it is meant for: it changes one that is there. */
export const takesIfMatch = ({ versioned, method, params }: AnyRouteSpec): boolean => versioned === true && method !== 'get' && params !== undefined
