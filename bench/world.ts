import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { apiClient, expectStatus } from '#stack/api-client.ts'
import { readHome, type Home } from '#stack/home.ts'
import { accessToken } from '#stack/login.ts'
import { addUser } from '#stack/oidc-users.ts'
import { acme, type SeededUser } from '#stack/people.ts'
import { seedAccount } from '#stack/seed-people.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { runLanes } from './figures.ts'
import { logIn, type Person } from './person.ts'

/** A stack with people who may check out, and with identities enough that every checkout gets one of its own. */
export interface World {
  readonly stack: Stack
  readonly people: readonly Person[]
  readonly vault: { readonly vaultId: string; readonly organizationId: string }
  readonly identityIds: readonly string[]
  readonly superuser: pg.Client
  stop(): Promise<void>
}

/** As many people as clients: no two of them wait for each other's rows. */
const peopleCount = 32
const operator = acme.users.find((user) => user.sub === 'sam')?.role as SeededUser['role']

/**
 * @param identityCount identities in one vault, each with a password of its own
 * @param profiles folder that gets a CPU profile of each role process; absent: none is made
 */
export async function createWorld(identityCount: number, profiles?: string): Promise<World> {
  const stack = await startStack(profiles === undefined ? {} : { roleEnvironment: { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles}` } })
  const superuser = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
  const stop = async (): Promise<void> => {
    await superuser.end().catch(() => {})
    await stack.stop()
  }
  try {
    await superuser.connect()
    const users = await addPeople(stack, superuser)
    const mia = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'mia', acr: 'mfa' }))
    const create = async (path: string, body: unknown): Promise<string> => expectStatus(await mia.post<{ id: string }>(path, body), 201).id
    const organizationId = await create('/v1/organizations', { name: 'bench' })
    expectStatus(await mia.put(`/v1/organizations/${organizationId}/secret`, {}), 204)
    const vaultId = await create('/v1/identity-groups', { organizationId, name: 'bench' })
    for (const { idpId } of users) await create(`/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'user', id: idpId }, level: 'checkout' })
    const identityIds: string[] = []
    await runLanes(Array.from({ length: identityCount }), 16, async () => {
      const identity = { identityGroupId: vaultId, name: randomUUID(), username: 'app', credentialType: 'password', credential: randomUUID() }
      identityIds.push(await create('/v1/identities', identity))
    })
    const people = await Promise.all(users.map((user) => logIn(stack.home, user)))
    return { stack, people, vault: { vaultId, organizationId }, identityIds, superuser, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function addPeople({ home, urls }: Stack, superuser: pg.Client): Promise<SeededUser[]> {
  const users = Array.from({ length: peopleCount }, (_, index): SeededUser => {
    const sub = `client-${index + 1}`
    return { id: randomUUID(), idpId: randomUUID(), sub, name: `Client ${index + 1}`, email: `${sub}@acme.example`, role: operator }
  })
  for (const { sub, email, name } of users) addUser(readHome(home) as Home, { sub, email, email_verified: true, name })
  await seedAccount(superuser, { ...acme, users }, urls.issuer)
  return users
}
