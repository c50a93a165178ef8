import { afterAll, beforeAll, expect, test } from 'vitest'
import { fetchKeyRing } from '#api/key-ring.ts'
import { IdentityId, type AccountId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { acme } from '#stack/people.ts'
import { inAccount } from '#store/connection.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { readCredential } from '#store/credential.ts'
import { codeOf, thrownBy } from '../secrets/keys.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

/** Keys are fetched before a decision; what happened since then must be seen by whoever opens with them. */

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const run = <T>(decide: Parameters<typeof inAccount<T>>[2]) => inAccount(world.parts.db, acme.id as AccountId, decide)
const look = (id: string) => run((trx) => readCheckoutFacts(trx, IdentityId.parse(id), null))
const stored = async (id: string) => (await run((trx) => readCredential(trx, IdentityId.parse(id), 1))) as Sealed

test('an identity that moved since its keys were fetched is looked at again; nobody is alarmed', async () => {
  const id = await world.addIdentity('moved meanwhile')
  const ring = await fetchKeyRing(world.parts.vaultKeys, await look(id))
  const beside = (await world.post('mia', '/v1/identity-groups', { organizationId: world.organizationId, name: 'beside' })).body.id
  await world.post('mia', `/v1/identities/${id}/move`, { identityGroupId: beside })
  const [facts, sealed] = [await look(id), await stored(id)]
  expect(codeOf(thrownBy(() => ring.openValue(facts, 1, sealed)))).toBe('busy')
  expect((await fetchKeyRing(world.parts.vaultKeys, facts)).openValue(facts, 1, sealed).expose()).toBe('password of moved meanwhile')
})

test('a legacy row does not open once its organization was closed, though its key is at hand', async () => {
  const id = await world.addIdentity('imported')
  await world.database.superuser(`update credential_version set encryption_version = 0, key_id = 'legacy', ciphertext = 'old' where identity_id = $1`, [id])
  await world.post('mia', `/v1/organizations/${world.organizationId}/legacy-import/open`)
  const before = await look(id)
  const ring = await fetchKeyRing(world.parts.vaultKeys, before)
  expect(ring.openValue(before, 1, await stored(id)).expose()).toBe('old')
  await world.post('mia', `/v1/organizations/${world.organizationId}/legacy-import/close`)
  const [facts, sealed] = [await look(id), await stored(id)]
  expect(codeOf(thrownBy(() => ring.openValue(facts, 1, sealed)))).toBe('decryption-failed')
})
