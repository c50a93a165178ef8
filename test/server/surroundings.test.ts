import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTokenCheck } from '#api/access-token.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { seedPeople } from '#stack/seed-people.ts'
import { isDevelopment } from '#store/development.ts'
import { databaseRoles } from '#store/roles.ts'
import { audience, startIssuer } from '../api/issuer.ts'
import { createTestAccount } from '../support/account.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startOpenBao, type TestOpenBao } from '../support/openbao.ts'

let bao: TestOpenBao
const databases: TestDatabase[] = []

beforeAll(async () => {
  bao = await startOpenBao()
}, 30_000)
afterAll(async () => {
  await bao?.stop()
  for (const database of databases) await database.end()
})

const newDatabase = async (): Promise<TestDatabase> => {
  const database = await createTestDatabase()
  databases.push(database)
  return database
}
const ask = ({ url, password }: TestDatabase) => Promise.all(databaseRoles.map((user) => isDevelopment({ url }, { user, password })))

test('every role can tell a database that a development stack has seeded, and no other is taken for one', async () => {
  const [installed, seeded] = [await newDatabase(), await newDatabase()]
  await createTestAccount(installed, installed.as('leasehold_api'), { mia: 'owner' })
  await seedPeople(seeded.ownerUrl, 'https://issuer.example')
  expect(await ask(installed)).toEqual(databaseRoles.map(() => false))
  expect(await ask(seeded)).toEqual(databaseRoles.map(() => true))
})

test('people who log in at a provider without TLS make a development database, whoever they are', async () => {
  const database = await newDatabase()
  await createTestAccount(database, database.as('leasehold_api'), { mia: 'owner' }, 'http://127.0.0.1:7401')
  expect(await ask(database)).toEqual(databaseRoles.map(() => true))
})

test('where a static seal is refused, OpenBao is as good as down, also when it came up after the start', async () => {
  const login = { url: bao.url, ...bao.login('leasehold-bridge') }
  const path = ['leasehold-transit', 'keys', 'connector-signing']
  await expect(createOpenBao(login).read(path)).resolves.toBeDefined()
  await expect(createOpenBao({ ...login, refuseStaticSeal: true }).read(path)).rejects.toMatchObject({
    code: 'dependency-unavailable',
    facts: { role: 'openbao' },
  })
})

test('where the embedded provider is refused, nobody can log in with its tokens', async () => {
  const issuer = await startIssuer({ leasehold_development: true })
  const rules = { issuer: issuer.url, issuerUrl: issuer.url, audience }
  const token = await issuer.token('mia')
  await expect(createTokenCheck({ ...rules, developmentProvider: true })(token)).resolves.toMatchObject({ sub: 'mia' })
  await expect(createTokenCheck({ ...rules, developmentProvider: false })(token)).rejects.toMatchObject({
    code: 'dependency-unavailable',
    facts: { role: 'oidc' },
  })
  await issuer.stop()
})
