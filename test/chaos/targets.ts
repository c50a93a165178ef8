import { expectStatus } from '#stack/api-client.ts'
import type { Stack } from '#stack/test-stack.ts'
import type { Product } from '../stack/product.ts'
import type { Places } from './places.ts'
import { postgresLogsIn } from './postgres-login.ts'
import type { Account, Login, Place, Target, Vault } from './target.ts'

/** The seeded identity `orders-db`, the same at every call. */
export function seededTarget(stack: Stack, product: Product): Target {
  const place: Place = {
    name: 'target',
    hostId: '',
    create: () => Promise.reject(new Error('the seeded account is there')),
    set: () => Promise.reject(new Error('the seeded account belongs to the vault')),
    logsIn: postgresLogsIn(stack),
  }
  const account: Account = { identityId: product.identityId('orders-db'), username: 'orders_app', places: [place] }
  return { name: 'orders-db', places: [place], account: async () => account }
}

/** What has accounts on several hosts needs at least two of them. */
export const severalHosts = 'several hosts'

/** A target for each place, and one of which every account is on all of them with one password; each account is a new one. */
export function targetsOf(places: Places['places'], vault: Vault): Target[] {
  const single = places.map((place): Target => ({ name: place.name, places: [place], account: () => makeAccount(vault, [place]) }))
  return places.length < 2 ? single : [...single, { name: severalHosts, places, account: () => makeAccount(vault, places) }]
}

async function makeAccount({ mia, vaultId }: Vault, places: readonly Place[]): Promise<Account> {
  let login: Login | undefined
  for (const place of places) login = await place.create(login)
  if (login === undefined) throw new Error('there is no place')
  const { username, password } = login
  const body = {
    identityGroupId: vaultId,
    name: username,
    username,
    credentialType: 'password',
    credential: password,
    hostIds: places.map(({ hostId }) => hostId),
    rotateAfterUse: true,
  }
  const { id } = expectStatus(await (await mia()).post<{ id: string }>('/v1/identities', body), 201)
  return { identityId: id, username, places }
}
