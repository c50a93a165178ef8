import { randomBytes } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConnectorId, HostId, IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { Db } from '#store/connection.ts'
import { createHost } from '#store/change-host.ts'
import { createConnector, listConnectors, readConnector } from '#store/connector.ts'
import { createIdentity } from '#store/create-identity.ts'
import { createGrant } from '#store/grant.ts'
import { listHosts, readHost } from '#store/host.ts'
import { listIdentities, readIdentity } from '#store/identity.ts'
import { searchPrincipals } from '#store/idp.ts'
import { recordOrganizationSecret } from '#store/organization-secret.ts'
import { createOrganization, listOrganizations, readOrganization } from '#store/organization.ts'
import { everything } from '#store/page.ts'
import { createVault, listVaults, readVault, readVaultKeyRef } from '#store/vault.ts'
import { createTestAccount, type TestAccount } from '../support/account.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { storedValue } from '../support/stored-value.ts'

const firstPage = { limit: 200, after: null }
const notFound = expect.objectContaining({ code: 'not-found' })
let database: TestDatabase
let db: Db
let ours: TestAccount<'mia'>
let theirs: TestAccount<'gus'>
const organizationId = OrganizationId.parse(uuidv7())
const vaultId = VaultId.parse(uuidv7())
const identityId = IdentityId.parse(uuidv7())
const connectorId = ConnectorId.parse(uuidv7())
const hostId = HostId.parse(uuidv7())

beforeAll(async () => {
  database = await createTestDatabase()
  db = database.as('leasehold_api')
  ours = await createTestAccount(database, db, { mia: 'owner' })
  theirs = await createTestAccount(database, db, { gus: 'owner' })
  const { actor } = ours.people.mia
  await ours.run(async (trx) => {
    await createOrganization(trx, organizationId, { name: 'acme-main' }, actor)
    await recordOrganizationSecret(trx, organizationId, 1, actor)
    await createVault(trx, vaultId, { organizationId, name: 'demo' }, actor)
    await createConnector(trx, connectorId, { organizationId, name: 'edge' }, actor)
    await createHost(trx, hostId, { organizationId, name: 'target', address: 'db.internal', port: 5432, adapter: 'postgres', connectorId }, actor)
    await createIdentity(
      trx,
      identityId,
      { identityGroupId: vaultId, name: 'orders', username: 'orders_app', credentialType: 'password', hostIds: [hostId] },
      storedValue(),
      actor,
    )
  })
})
afterAll(() => database?.end())

describe('an account', () => {
  test('sees nothing of another one, not by list and not by id', async () => {
    await theirs.run(async (trx) => {
      for (const list of [
        listOrganizations(trx, everything, firstPage),
        listVaults(trx, everything, null, firstPage),
        listIdentities(trx, everything, {}, firstPage),
        listHosts(trx, everything, null, firstPage),
        listConnectors(trx, everything, null, firstPage),
      ])
        expect((await list).items).toEqual([])
      expect((await searchPrincipals(trx, '', firstPage)).items.map((entry) => entry.name)).toEqual(['gus'])
    })
    for (const read of [
      () => theirs.run((trx) => readOrganization(trx, organizationId)),
      () => theirs.run((trx) => readVault(trx, vaultId)),
      () => theirs.run((trx) => readIdentity(trx, identityId)),
      () => theirs.run((trx) => readHost(trx, hostId)),
      () => theirs.run((trx) => readConnector(trx, connectorId)),
      () => theirs.run((trx) => readVaultKeyRef(trx, vaultId)),
    ])
      await expect(read()).rejects.toEqual(notFound)
  })

  test('cannot refer to rows of another one', async () => {
    const { actor, userId } = theirs.people.gus
    const principal = await theirs.principal('gus')
    const own = OrganizationId.parse(uuidv7())
    const ownVault = VaultId.parse(uuidv7())
    await theirs.run(async (trx) => {
      await createOrganization(trx, own, { name: 'globex-main' }, actor)
      await createVault(trx, ownVault, { organizationId: own, name: 'demo' }, actor)
    })
    const body = { name: 'x', address: 'db.internal', port: 5432, adapter: 'postgres' as const, connectorId }
    for (const attempt of [
      () => theirs.run((trx) => createVault(trx, VaultId.parse(uuidv7()), { organizationId, name: 'x' }, actor)),
      () => theirs.run((trx) => createConnector(trx, ConnectorId.parse(uuidv7()), { organizationId, name: 'x' }, actor)),
      () => theirs.run((trx) => createHost(trx, HostId.parse(uuidv7()), { ...body, organizationId: own }, actor)),
      () =>
        theirs.run((trx) =>
          createIdentity(
            trx,
            IdentityId.parse(uuidv7()),
            { identityGroupId: vaultId, name: 'x', username: 'x', credentialType: 'password' },
            storedValue(),
            actor,
          ),
        ),
      () =>
        theirs.run((trx) =>
          createIdentity(
            trx,
            IdentityId.parse(uuidv7()),
            { identityGroupId: ownVault, name: 'x', username: 'x', credentialType: 'password', hostIds: [hostId] },
            storedValue(),
            actor,
          ),
        ),
      () =>
        theirs.run((trx) =>
          createGrant(
            trx,
            { id: uuidv7(), vaultId: ownVault, principal, actor },
            { principal: { type: 'user', id: ours.people.mia.idpUserId }, level: 'checkout' },
          ),
        ),
    ])
      await expect(attempt()).rejects.toEqual(notFound)
    const foreign = `insert into vault (account_id, organization_id, name, salt) values ($1, $2, 'x', $3)`
    await expect(database.superuser(foreign, [theirs.id, organizationId, randomBytes(32)])).rejects.toMatchObject({ code: '23503' })
    expect(userId).toBeDefined()
  })
})

describe('row-level security', () => {
  test('holds on every table that has an account, for every role', async () => {
    const { rows } = await database.superuser(`
      select c.relname, c.relrowsecurity and c.relforcerowsecurity as held from pg_class c join pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname = 'account_id'`)
    const open = rows
      .filter((row) => !row.held)
      .map((row) => row.relname)
      .sort()
    expect(rows.length).toBeGreaterThan(25)
    expect(open).toEqual(['awaited_login', 'clock_shift', 'login'])
    const roles = await database.superuser(`select rolname from pg_roles where rolname like 'leasehold%' and (rolsuper or rolbypassrls)`)
    expect(roles.rows).toEqual([])
  })

  test.each(['leasehold_api', 'leasehold_worker', 'leasehold_bridge'] as const)('shows %s nothing without an account', async (role) => {
    const pool = database.as(role, 1)
    for (const table of ['account', 'organization', 'vault', 'identity', 'credential_version', 'host', 'connector', 'audit_event'] as const) {
      expect(await pool.selectFrom(table).selectAll().execute()).toEqual([])
    }
  })

  test.each(['leasehold_worker', 'leasehold_bridge', 'leasehold_relay', 'leasehold_expirer'] as const)('keeps logins and join tokens from %s', async (role) => {
    const pool = database.as(role, 1)
    for (const table of ['login', 'join_token'] as const) await expect(pool.selectFrom(table).selectAll().execute()).rejects.toMatchObject({ code: '42501' })
  })

  test('gives the expirer single columns of what people store, and no whole table of it', async () => {
    const { rows } = await database.superuser(
      `select table_name || ' ' || privilege_type as held from information_schema.role_table_grants where grantee = 'leasehold_expirer' order by 1`,
    )
    expect(rows.map(({ held }) => held)).toEqual(['clock_shift SELECT', 'dpop_proof DELETE', 'dpop_proof SELECT', 'obligation_kind SELECT'])
  })

  test('lets nobody change or remove audit events', async () => {
    for (const role of ['leasehold_api', 'leasehold_worker', 'leasehold_bridge'] as const) {
      const pool = database.as(role, 1)
      await expect(pool.updateTable('audit_event').set({ action: 'x' }).execute()).rejects.toMatchObject({ code: '42501' })
      await expect(pool.deleteFrom('audit_event').execute()).rejects.toMatchObject({ code: '42501' })
    }
    await expect(database.superuser(`update audit_event set action = 'x'`)).rejects.toThrow('never changed')
    await expect(database.superuser('truncate audit_event cascade')).rejects.toThrow('never changed')
  })

  test('is in every foreign key: no row can name a row of another account', async () => {
    const { rows } = await database.superuser(`
      select c.conrelid::regclass::text || '.' || c.conname as name,
        exists (select from unnest(c.conkey, c.confkey) as k (own, other)
          join pg_attribute o on o.attrelid = c.conrelid and o.attnum = k.own
          join pg_attribute f on f.attrelid = c.confrelid and f.attnum = k.other
          where o.attname = 'account_id' and f.attname in ('account_id', 'id') and (f.attname = 'account_id' or c.confrelid = 'account'::regclass)) as held
      from pg_constraint c
      where c.contype = 'f' and c.connamespace = 'public'::regnamespace
        and (c.confrelid = 'account'::regclass or exists (select from pg_attribute a where a.attrelid = c.confrelid and a.attname = 'account_id'))`)
    expect(rows.length).toBeGreaterThan(40)
    expect(rows.filter((row) => !row.held)).toEqual([])
  })
})
