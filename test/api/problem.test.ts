import { describe, expect, test } from 'vitest'
import { problemOf } from '#api/problem.ts'
import { scrubError } from '#api/scrub-error.ts'
import { errors, LeaseholdError, type ErrorCode } from '#schemas/errors.ts'

const trace = { traceId: 'a'.repeat(32), correlationId: 'corr-1' }
const codes = Object.keys(errors) as ErrorCode[]

describe('every row of the error table becomes a problem (RFC 9457)', () => {
  test.each(codes)('%s', (code) => {
    const { status, headers, body } = problemOf(new LeaseholdError(code), trace)
    const row = errors[code]
    expect(status).toBe(row.status)
    expect(headers['content-type']).toBe('application/problem+json')
    expect(body).toEqual({
      type: `urn:leasehold:problem:${code}`,
      title: row.title,
      status: row.status,
      detail: row.title,
      code,
      hint: row.hint,
      traceId: trace.traceId,
      correlationId: 'corr-1',
    })
    expect('www-authenticate' in headers).toBe(row.status === 401)
    expect('retry-after' in headers).toBe(row.status === 503 || row.status === 429)
  })
})

test('facts help: holder, until and the rest stand in the body, the pause in Retry-After', () => {
  const until = '2027-01-01T00:00:00.000Z'
  const { headers, body } = problemOf(new LeaseholdError('identity-checked-out', { holder: 'Sam', until, retryAfterSeconds: 4.2 }), trace)
  expect(body).toMatchObject({ detail: 'Identity is already checked out', holder: 'Sam', until })
  expect(body).not.toHaveProperty('retryAfterSeconds')
  expect(headers['retry-after']).toBe('5')
})

test('the detail of the manual replaces the title where it has a figure', () => {
  const { body } = problemOf(new LeaseholdError('vault-not-empty', { detail: 'Cannot delete group with 3 identities' }), trace)
  expect(body['detail']).toBe('Cannot delete group with 3 identities')
})

test('an unexpected error says nothing of itself', () => {
  const { status, body } = problemOf(new TypeError('password hunter2 of sam'), trace)
  expect(status).toBe(500)
  expect(JSON.stringify(body)).not.toContain('hunter2')
})

test('the log gets the place of an unexpected error but not its words', () => {
  const error = Object.assign(new TypeError('password hunter2', { cause: new Error('hunter2 again') }), { code: '22P02', detail: 'hunter2' })
  const scrubbed = scrubError(error)
  expect(scrubbed).toMatchObject({ name: 'TypeError', code: '22P02', cause: { name: 'Error' } })
  expect(scrubbed.stack?.length).toBeGreaterThan(0)
  expect(JSON.stringify(scrubbed)).not.toContain('hunter2')
})

test('a step-up challenge names the wanted acr (RFC 9470)', () => {
  const { headers } = problemOf(new LeaseholdError('insufficient-user-authentication', { acrValues: 'mfa' }), trace)
  expect(headers['www-authenticate']).toContain('error="insufficient_user_authentication", acr_values="mfa"')
})
