import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AccountId } from '#schemas/ids.ts'
import { inAccount } from '#store/connection.ts'
import { raiseNotice } from '#store/notice.ts'
import { approvalLink, recertificationOf } from './matrix-approvals.ts'
import { grantLevels, people, permissionOf, type Person } from './matrix-people.ts'
import type { Row, Things } from './matrix-row.ts'
import { rows } from './matrix-rows.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

/** Every route of the OpenAPI document, asked by every kind of caller. */

const withGrant = people.filter((person) => person.includes('+'))

/** They need no login: who asks proves itself otherwise, or nothing is said. */
const open = ['GET /healthz', 'GET /readyz', 'GET /v1/openapi.json', 'POST /v1/connectors/join', 'POST /v1/break-glass/login']

let world: ApiWorld
let things: Things
const subOf = (person: Person): string => (person === 'owner' ? 'mia' : person)
const routes = Object.entries(rows)

beforeAll(async () => {
  world = await createApiWorld()
  const make = async (path: string, body: object): Promise<string> => {
    const answer = await world.post('mia', path, body)
    if (answer.status >= 300) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`)
    return answer.body.id ?? answer.body.rotation?.id
  }
  const organization = `/v1/organizations/${world.organizationId}`
  const vault = `/v1/identity-groups/${world.vaultId}`
  const roleOf = async (permission: string) => make('/v1/roles', { name: permission, permissions: [permission] })
  const view = await roleOf('pam_vaults.view')
  /** Somebody with a directory record, linked at the first login. */
  const enter = async (sub: string): Promise<string> => {
    const email = `${sub.replaceAll(/\W/g, '-')}@acme.example`
    const idpUser = await make('/v1/idp-users', { email, name: sub })
    const authorization = `Bearer ${await world.issuer.token(sub, { email, email_verified: true })}`
    await world.call(null, 'GET', '/v1/me', { headers: { authorization } })
    return idpUser
  }
  for (const [person, permission] of Object.entries(permissionOf)) {
    const role = permission === 'pam_vaults.view' ? view : await roleOf(permission)
    await make(`/v1/roles/${role}/assignments`, { principal: { type: 'user', id: await enter(person) } })
  }
  for (const level of grantLevels) {
    for (const kind of ['grant', 'view']) {
      const principal = { type: 'user', id: await enter(`${kind}+${level}`) }
      await make(`${vault}/grants`, { principal, level })
      if (kind === 'view') await make(`/v1/roles/${view}/assignments`, { principal })
    }
  }
  const idpUser = await enter('somebody')
  const role = await make('/v1/roles', { name: 'some role', permissions: [] })
  const rotatingIdentity = await world.addIdentity('rotating', { hostIds: [world.hostId] })
  const leased = await world.addIdentity('leased')
  const disabledIdentity = await world.addIdentity('disabled')
  await world.call('mia', 'PATCH', `/v1/identities/${disabledIdentity}`, { body: { state: 'disabled' } })
  const rotation = await make(`/v1/identities/${rotatingIdentity}/rotate`, {})
  const { rows: accounts } = await world.database.superuser('select account_id, organization_id from identity where id = $1', [rotatingIdentity])
  const job = randomUUID()
  await world.database.superuser(
    `insert into job (account_id, id, organization_id, identity_id, rotation_id, host_id, connector_id) values ($1, $2, $3, $4, $5, $6, $7)`,
    [accounts[0].account_id, job, world.organizationId, rotatingIdentity, rotation, world.hostId, world.connectorId],
  )
  const checkout = await world.post('view+checkout', `/v1/identities/${leased}/checkout`, { reason: 'x', durationMinutes: 30 })
  const passphrase = 'seven quiet herons over the weir'
  await world.call('break_glass', 'PUT', '/v1/me/break-glass-credential', { body: { passphrase } })
  const emergency = await world.post('break_glass', `/v1/identities/${await world.addIdentity('burning')}/break-glass`, {
    reason: 'x',
    justification: 'nobody can be asked',
    breakGlassCredential: passphrase,
  })
  const guardedIdentity = await world.addIdentity('guarded')
  const approvalPolicy = await make('/v1/approval-policies', { identityId: guardedIdentity, steps: [{ approvers: [{ type: 'permission' }] }] })
  const asked = await world.post('view+checkout', `/v1/identities/${guardedIdentity}/checkout`, { reason: 'x', durationMinutes: 30 })
  const approver = (await world.call('approve', 'GET', '/v1/me')).body.user.id
  await world.post('mia', `${organization}/secret/rotate`)
  await world.post('mia', `${organization}/legacy-import/open`)
  await world.post('mia', `${organization}/legacy-import/close`)
  const recertification = await make('/v1/recertifications', recertificationOf(world.organizationId, approver))
  const { items } = (await world.call('mia', 'GET', `/v1/recertifications/${recertification}/items?limit=200`)).body
  things = {
    organization: world.organizationId,
    vault: world.vaultId,
    grant: await make(`${vault}/grants`, { principal: { type: 'user', id: idpUser }, level: 'view_vault' }),
    identity: await world.addIdentity('plain'),
    disabledIdentity,
    rotatingIdentity,
    host: world.hostId,
    connector: world.connectorId,
    lease: checkout.body.lease.id,
    review: emergency.body.lease.id,
    rotation,
    campaign: await make('/v1/rotation-campaigns', { organizationId: world.organizationId, identityIds: [await world.addIdentity('many')], reason: 'x' }),
    job,
    user: (await world.call('mia', 'GET', `/v1/idp-users/${idpUser}`)).body.userId,
    idpUser,
    group: await make('/v1/idp-groups', { name: 'some group' }),
    role,
    assignment: await make(`/v1/roles/${role}/assignments`, { principal: { type: 'user', id: idpUser } }),
    guardedIdentity,
    approvalPolicy,
    accessRequest: asked.body.accessRequest.id,
    decisionLink: approvalLink(world.parts, accounts[0].account_id, asked.body.accessRequest.id, approver),
    recertification,
    recertificationItem: items.find(({ kind }: { kind: string }) => kind === 'grant').id,
    policySet: await make('/v1/policy-sets', { policies: 'permit (principal, action, resource);' }),
    notice: await inAccount(world.parts.db, AccountId.parse(accounts[0].account_id), (trx) =>
      raiseNotice(trx, { kind: 'rotation.stuck', severity: 'warning', subject: { type: 'rotation', id: rotation }, to: [] }),
    ),
    channel: await make('/v1/notification-channels', { name: 'mail', type: 'smtp', settings: {} }),
  }
}, 60_000)
afterAll(() => world?.end())

interface Asked {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

async function ask(route: string, row: Row, token: string | undefined, there: Things = things): Promise<Asked> {
  const [method = ''] = route.split(' ')
  const body = row.body?.(there)
  const headers: Record<string, string> = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(row.stale ? { 'if-match': '"999"' } : {}),
    ...(method === 'POST' ? { 'idempotency-key': randomUUID() } : {}),
  }
  const answer = await world.app.request(row.path(there), { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  if (row.stream && answer.status === 200) {
    await answer.body?.cancel()
    return { status: 200, headers: answer.headers, text: '' }
  }
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}

function expected(row: Row, person: Person): number {
  if (row.may.includes(person)) return row.answer
  return row.sees === undefined || row.sees.includes(person) ? 403 : 404
}

/** A row that ends what others are asked about: those who may are asked last, and once. */
const order = (row: Row): Person[] => [...people.filter((person) => !row.may.includes(person)), ...people.filter((person) => row.may.includes(person))]

test('every route of the OpenAPI document has a row, and every row is a route', async () => {
  const { paths } = (await world.call(null, 'GET', '/v1/openapi.json')).body as { paths: Record<string, Record<string, unknown>> }
  const documented = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations)
      .filter((method) => ['get', 'put', 'post', 'patch', 'delete'].includes(method))
      .map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(documented.filter((route) => !open.includes(route)).sort()).toEqual(Object.keys(rows).sort())
})

describe('every route is answered as the table says', () => {
  test('to every permission alone, every grant level, and the owner', async () => {
    const wrong: string[] = []
    for (const [route, row] of routes) {
      for (const person of order(row)) {
        const { status, text } = await ask(route, row, await world.issuer.token(subOf(person)))
        if (status !== expected(row, person)) wrong.push(`${route} by ${person}: ${status}, not ${expected(row, person)} ${text.slice(0, 200)}`)
      }
    }
    expect(wrong).toEqual([])
  }, 240_000)

  test('to nobody without a token, with one that has ended, is for somebody else, or is of a user who is disabled or unknown', async () => {
    const now = Math.floor(Date.now() / 1_000)
    await world.database.superuser(`update account_user set state = 'disabled' where sub = 'sam'`)
    const tokens: [string, string | undefined, number][] = [
      ['no token', undefined, 401],
      ['an expired token', await world.issuer.token('mia', { iat: now - 600, exp: now - 60 }), 401],
      ['another audience', await world.issuer.token('mia', { aud: 'https://other.example' }), 401],
      ['a disabled user', await world.issuer.token('sam'), 403],
      ['an unknown user', await world.issuer.token('nobody'), 403],
    ]
    const wrong: string[] = []
    for (const [route, row] of routes) {
      for (const [name, token, status] of tokens) {
        const answer = await ask(route, row, token)
        if (answer.status !== status) wrong.push(`${route} with ${name}: ${answer.status}, not ${status}`)
        if (status === 401 && !/^Bearer .*DPoP /.test(answer.headers.get('www-authenticate') ?? '')) wrong.push(`${route} with ${name}: no challenge`)
      }
    }
    expect(wrong).toEqual([])
  }, 60_000)
})

/** Lines of the permission table of the manual, and of who may do what beside it. Who gets through is written out, owner besides. */
const lines: readonly [line: string, routes: readonly string[], may: readonly Person[]][] = [
  ['List vaults and identities: pam_vaults.view', ['GET /v1/identity-groups', 'GET /v1/identities'], ['view', 'manage', ...withGrant]],
  [
    'Create/update/delete vaults: pam_vaults.manage',
    ['POST /v1/identity-groups', 'PATCH /v1/identity-groups/{id}', 'DELETE /v1/identity-groups/{id}'],
    ['manage'],
  ],
  ['Create/update identities: pam_vaults.manage', ['POST /v1/identities', 'PATCH /v1/identities/{id}', 'DELETE /v1/identities/{id}'], ['manage']],
  [
    'Reveal credential value: pam_vaults.view, and a vault access grant of at least View Credentials',
    ['POST /v1/identities/{id}/reveal'],
    ['view+view_credentials', 'view+checkout'],
  ],
  ['Checkout credential: pam_vaults.view, and a vault access grant of at least Checkout', ['POST /v1/identities/{id}/checkout'], ['view+checkout']],
  ['Rotate password: pam_vaults.manage', ['POST /v1/identities/{id}/rotate'], ['manage']],
  [
    'View sessions: pam_vaults.view',
    ['GET /v1/leases', 'GET /v1/leases/{id}'],
    ['view', 'manage', ...withGrant.filter((person) => person.startsWith('view+'))],
  ],
  [
    'grant or revoke vault access, force-checkin, hosts: pam_vaults.manage',
    [
      'POST /v1/identity-groups/{id}/grants',
      'DELETE /v1/identity-groups/{id}/grants/{grantId}',
      'POST /v1/leases/{id}/force-checkin',
      'POST /v1/hosts',
      'PATCH /v1/hosts/{id}',
    ],
    ['manage'],
  ],
  [
    'roles, organization secret, step-up and policies, maximum durations: organizations.manage',
    [
      'POST /v1/roles',
      'POST /v1/roles/{id}/assignments',
      'PUT /v1/organizations/{id}/secret',
      'POST /v1/organizations/{id}/secret/rotate',
      'PUT /v1/organizations/{id}/step-up',
      'POST /v1/policy-sets',
      'POST /v1/policy-sets/{id}/activate',
      'PATCH /v1/organizations/{id}',
    ],
    ['organizations'],
  ],
  ['connectors: connectors.manage', ['POST /v1/connectors', 'PATCH /v1/connectors/{id}', 'DELETE /v1/connectors/{id}'], ['connectors']],
  ['approve: named by the approval policy, here pam_requests.approve', ['POST /v1/access-requests/{id}/decisions'], ['approve']],
  ['approval policies: organizations.manage', ['POST /v1/approval-policies', 'PATCH /v1/approval-policies/{id}'], ['organizations']],
  ['audit: pam_audit.view', ['GET /v1/audit/events'], ['audit']],
]

describe('the manual', () => {
  test.each(lines)('%s', async (_, names, may) => {
    for (const route of names) {
      const row = rows[route]
      if (row === undefined) throw new Error(`there is no row for ${route}`)
      const through: Person[] = []
      for (const person of people.filter((one) => one !== 'owner')) {
        const { status } = await ask(route, row, await world.issuer.token(subOf(person)))
        if (![401, 403, 404].includes(status)) through.push(person)
      }
      // A lease without a grant of one's own is seen by pam_vaults.view alone; a list also by whoever sees one vault.
      const expectedPeople = route === 'GET /v1/leases' ? [...may, ...withGrant.filter((person) => person.startsWith('grant+'))] : may
      expect([route, through.sort()]).toEqual([route, [...expectedPeople].sort()])
    }
  })

  test('check in and extend: the holder, and not even an owner in their place', async () => {
    for (const route of ['POST /v1/leases/{id}/checkin', 'POST /v1/leases/{id}/extend']) {
      const row = rows[route] as Row
      for (const person of people.filter((one) => one !== 'view+checkout')) {
        const { status } = await ask(route, row, await world.issuer.token(subOf(person)))
        expect([route, person, [403, 404].includes(status)]).toEqual([route, person, true])
      }
    }
  })

  test('other people’s reasons: pam_vaults.manage or pam_audit.view, and the holder', async () => {
    const reads: string[] = []
    for (const person of people) {
      const { text, status } = await ask('GET /v1/leases/{id}', rows['GET /v1/leases/{id}'] as Row, await world.issuer.token(subOf(person)))
      if (status === 200 && JSON.parse(text).lease.reason !== null) reads.push(person)
    }
    expect(reads.sort()).toEqual(['manage', 'owner', 'view+checkout'])
  })

  test('"No IDP user mapping": only on reveal and checkout, and owners pass without one', async () => {
    const sub = `unmapped-${randomUUID()}`
    const user = (await world.post('mia', '/v1/users', { sub })).body.id
    const view = (await world.call('mia', 'GET', '/v1/roles?limit=100')).body.items.find((role: { name: string }) => role.name === 'pam_vaults.view').id
    await world.post('mia', `/v1/roles/${view}/assignments`, { principal: { type: 'user', id: user } })
    const wrong: string[] = []
    for (const [route, row] of routes.filter(([name]) => name.startsWith('GET ') || /reveal|checkout/.test(name))) {
      const { text } = await ask(route, row, await world.issuer.token(sub))
      const said = text.includes('No IDP user mapping')
      if (said !== /(reveal|checkout)$/.test(route)) wrong.push(`${route}: ${text.slice(0, 100)}`)
    }
    expect(wrong).toEqual([])
  })

  test('access tokens live at most 15 minutes', async () => {
    const now = Math.floor(Date.now() / 1_000)
    const me = async (claims: { iat: number; exp: number }) =>
      (await ask('GET /v1/me', rows['GET /v1/me'] as Row, await world.issuer.token('mia', claims))).status
    expect([await me({ iat: now, exp: now + 900 }), await me({ iat: now, exp: now + 901 })]).toEqual([200, 401])
  })
})

describe('what belongs to another account', () => {
  /** What must not tell one from the other; ids of the request itself are never repeated. */
  function comparable({ status, headers, text }: Asked): string {
    const shown = [...headers].filter(([name]) => !['x-correlation-id', 'date', 'dpop-nonce', 'traceparent'].includes(name)).sort()
    const { traceId: _trace, correlationId: _correlation, ...body } = text === '' ? {} : JSON.parse(text)
    return JSON.stringify([status, shown, body])
  }

  test('answers like what does not exist, on every route, to the owner of the other account', async () => {
    const absent = Object.fromEntries(Object.keys(things).map((name) => [name, randomUUID()])) as unknown as Things
    const token = await world.issuer.token('gus')
    const different: string[] = []
    let compared = 0
    for (const [route, row] of routes) {
      const named = row.path(things) !== row.path(absent) || (row.body?.length ?? 0) > 0
      if (!named) continue
      const [foreign, missing] = [await ask(route, row, token), await ask(route, row, token, absent)]
      compared += 1
      if (comparable(foreign) !== comparable(missing)) different.push(`${route}: ${comparable(foreign)} and ${comparable(missing)}`)
      if (foreign.status !== 404) different.push(`${route}: ${foreign.status}`)
      for (const id of Object.values(things)) if (foreign.text.includes(id)) different.push(`${route} repeats an id`)
    }
    expect(different).toEqual([])
    expect(compared).toBeGreaterThan(50)
  }, 60_000)
})
