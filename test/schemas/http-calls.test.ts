import { expect, test } from 'vitest'
import { HttpCalls, type HttpCalls as Calls } from '#schemas/http-calls.ts'
import { adding, replacing } from '../support/key-store.ts'

const faultsOf = (calls: unknown): string[] => (HttpCalls.safeParse(calls).error?.issues ?? []).map((issue) => issue.path.join('.'))
const withSet = (change: object): Calls => ({ ...replacing, set: { ...replacing.set, ...change } })
const withVerify = (change: object): Calls => ({ ...replacing, verify: { ...replacing.verify, ...change } })

test('calls for one key and for two are taken as they are', () => {
  for (const calls of [replacing, adding, withSet({ json: undefined, form: { key: '{value}' } })]) expect([calls, faultsOf(calls)]).toEqual([calls, []])
})

const refused: readonly (readonly [what: string, calls: unknown, path: string])[] = [
  ['a value in the path', withSet({ path: '/keys/{value}' }), 'set.path'],
  ['a value in the query', withSet({ path: '/keys?key={value}' }), 'set.path'],
  ['the secret of the admin in the path', withSet({ path: '/keys?token={as.value}' }), 'set.path'],
  ['who asks in a body that others may read', withSet({ json: { key: '{value}', note: '{as.value}' } }), 'set'],
  ['who asks in a form', withSet({ json: undefined, form: { key: '{value}', note: '{as.basic}' } }), 'set'],
  ['a login in the path', withVerify({ path: '/{basic}' }), 'verify.path'],
  ['another host', withSet({ path: 'https://elsewhere/keys' }), 'set.path'],
  ['another host by two slashes', withSet({ path: '//elsewhere/keys' }), 'set.path'],
  ['a way upwards', withSet({ path: '/keys/../admin' }), 'set.path'],
  ['an escaped way upwards', withSet({ path: '/keys/%2e%2E/admin' }), 'set.path'],
  ['a line end in the path', withSet({ path: '/keys\r\nHost: x' }), 'set.path'],
  ['a fragment', withSet({ path: '/keys#x' }), 'set.path'],
  ['an unknown gap', withSet({ headers: { 'x-key': '{secret}' } }), 'set.headers.x-key'],
  ['a brace without a gap', withSet({ headers: { 'x-key': '{value' } }), 'set.headers.x-key'],
  ['an unknown gap in the body', withSet({ json: { key: '{value}', deep: [{ x: '{other}' }] } }), 'set.json'],
  ['the host header', withSet({ headers: { ...replacing.set.headers, Host: 'elsewhere' } }), 'set.headers.Host'],
  ['a length of its own', withSet({ headers: { ...replacing.set.headers, 'content-length': '1' } }), 'set.headers.content-length'],
  ['a header with a line end', withSet({ headers: { 'x-key': 'a\r\nx-other: b' } }), 'set.headers.x-key'],
  ['one header twice', withSet({ headers: { 'X-A': '1', 'x-a': '2', ...replacing.set.headers } }), 'set.headers'],
  ['two bodies', withSet({ form: { key: '{value}' } }), 'set.form'],
  ['a body that nobody reads', withVerify({ method: 'GET' }), 'verify.method'],
  ['no value to set', withSet({ json: { key: 'fixed' } }), 'set'],
  ['nobody who asks', withSet({ headers: {} }), 'set'],
  ['no value to prove', withVerify({ json: { account: '{username}' } }), 'verify'],
  ['a proof by the admin', withVerify({ headers: { authorization: 'Basic {as.basic}' } }), 'verify'],
  ['nothing that says which key goes', { ...adding, revoke: { ...adding.revoke, path: '/accounts/{username}/keys' } }, 'revoke'],
  ['a failure that counts as done', withSet({ done: [500] }), 'set.done.0'],
  ['a redirect that counts as done', withSet({ done: [302] }), 'set.done.0'],
  ['a refusal that counts as accepted', withVerify({ accepted: [401] }), 'verify.accepted.0'],
  ['one status for both', withSet({ done: [200, 409], policyRefused: [409] }), 'set.policyRefused'],
  ['a call that is not known', { ...replacing, rotate: replacing.set }, ''],
  ['a field that is not known', withSet({ url: 'https://elsewhere' }), 'set'],
  ['no proof', { set: replacing.set }, 'verify'],
]
test.each(refused)('%s is refused', (_, calls, path) => {
  expect(faultsOf(calls)).toContain(path)
})
