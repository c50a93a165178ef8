import { createHash, randomUUID } from 'node:crypto'
import { fetchKeyRing } from '#api/key-ring.ts'
import { AccountId, IdentityId, LeaseId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { passwordOf, readCredentials } from '#server/credentials.ts'
import { readHome, type Home } from '#stack/home.ts'
import { acme } from '#stack/people.ts'
import { credentialsFile } from '#stack/role-credentials.ts'
import { acquireLease } from '#store/acquire-lease.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { connect, inAccount } from '#store/connection.ts'
import { readPrincipal } from '#store/principal.ts'
import { runLanes, type Run } from './figures.ts'
import type { Taken } from './requests.ts'
import type { World } from './world.ts'

/** As many connections as the API role opens. */
const poolSize = 16

/** The deciding transaction of a checkout and nothing else: no HTTP, no token, no look ahead. */
export interface BareTransaction {
  run(identityIds: readonly string[], clients: number): Promise<Run & { readonly taken: readonly Taken[] }>
  close(): Promise<void>
}

export async function openBareTransaction({ stack, people, vault, identityIds }: World): Promise<BareTransaction> {
  const credentials = await readCredentials(credentialsFile(readHome(stack.home) as Home, 'api'))
  const db = connect({ url: stack.urls.postgres, user: 'leasehold_api', password: passwordOf(credentials, 'leasehold_api'), max: poolSize })
  const vaultKeys = createVaultKeys(createOrganizationSecrets(createOpenBao({ url: stack.urls.openbao, ...credentials.openbao })))
  const accountId = AccountId.parse(acme.id)
  const principals = new Map<string, Principal>()
  for (const { userId } of people) {
    const principal = await inAccount(db, accountId, (trx) => readPrincipal(trx, UserId.parse(userId)))
    if (principal === undefined) throw new Error('a person of the bench is unknown')
    principals.set(userId, principal)
  }
  const first = IdentityId.parse(identityIds[0])
  const ring = await fetchKeyRing(vaultKeys, await inAccount(db, accountId, (trx) => readCheckoutFacts(trx, first, null)))
  const request = (identityId: IdentityId, principal: Principal) => ({
    leaseId: LeaseId.parse(randomUUID()),
    identityId,
    vault: { vaultId: VaultId.parse(vault.vaultId), organizationId: OrganizationId.parse(vault.organizationId) },
    hostId: null,
    minutes: 30,
    principal,
    actor: { kind: 'user', id: principal.userId, iss: principal.iss, sub: principal.sub } as const,
    requestHash: createHash('sha256').update(identityId).digest(),
    reason: ring.sealReason(identityId, 'A measured transaction'),
    open: ring.openValue,
  })
  return {
    async run(identityIds, clients) {
      const taken: Taken[] = []
      const work = identityIds.map((id, index) => {
        const person = people[index % people.length] as World['people'][number]
        return { person, request: request(IdentityId.parse(id), principals.get(person.userId) as Principal) }
      })
      const run = await runLanes(work, clients, async ({ person, request }) => {
        await inAccount(db, accountId, (trx) => acquireLease(trx, request))
        taken.push({ leaseId: request.leaseId, person })
      })
      return { ...run, taken }
    },
    close: () => db.destroy(),
  }
}
