import { randomUUID } from 'node:crypto'
import { circumstancesOf, questionOf } from '#api/enforce.ts'
import { createCedarDecisionPoint } from '#policy/cedar.ts'
import { decide } from '#policy/decide.ts'
import { AccountId, IdentityId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { passwordOf, readCredentials as readRoleCredentials } from '#server/credentials.ts'
import { readHome, type Home } from '#stack/home.ts'
import { acme } from '#stack/people.ts'
import { credentialsFile } from '#stack/role-credentials.ts'
import { lockIdentity, readCheckoutFacts } from '#store/checkout-facts.ts'
import { askInAccount, connect, inAccount, type Db } from '#store/connection.ts'
import { readCredentials } from '#store/credential.ts'
import { judgeVaultAccess, lockAuthority, readPrincipal } from '#store/principal.ts'
import { summaryOf } from './aims.ts'
import { figuresOf, runLanes, type Figures, type Run } from './figures.ts'
import { createWorld, type World } from './world.ts'

const rounds = 10
const perRound = 100
const policyCount = 50
const acrOrder = ['pwd', 'mfa']

/** What the checks of tenant, permission, grant and policies add to a checkout: its two looks at PostgreSQL with them and without. */
export async function checksBench(say: (line: string) => void): Promise<void> {
  const world = await createWorld(perRound)
  const credentials = await readRoleCredentials(credentialsFile(readHome(world.stack.home) as Home, 'api'))
  const db = connect({ url: world.stack.urls.postgres, user: 'leasehold_api', password: passwordOf(credentials, 'leasehold_api'), max: 4 })
  try {
    const [without, withAll] = await compare(world, db)
    const line = (name: string, { count, p50, p99 }: Figures) =>
      say(`${name.padEnd(42)} ${String(count).padStart(6)} ${p50.toFixed(2).padStart(8)} ${p99.toFixed(2).padStart(8)}`)
    say('looks and locks of a checkout               count   p50 ms   p99 ms')
    line('without checks', without)
    line(`with checks and ${policyCount} policies`, withAll)
    say(summaryOf([{ name: 'ms that the checks add to the p50', reached: withAll.p50 - without.p50, atMost: 1 }]))
  } finally {
    await db.destroy()
    await world.stop()
  }
}

async function compare(world: World, db: Db): Promise<[Figures, Figures]> {
  const accountId = AccountId.parse(acme.id)
  const userId = UserId.parse(world.people[0]?.userId)
  const vault = { vaultId: VaultId.parse(world.vault.vaultId), organizationId: OrganizationId.parse(world.vault.organizationId) }
  const identityIds = world.identityIds.map((id) => IdentityId.parse(id))
  const point = createCedarDecisionPoint(async () => manyPolicies(vault.vaultId), acrOrder)
  const token = { acr: 'mfa', authTime: Math.floor(Date.now() / 1_000), binding: undefined }

  const bare = async (id: IdentityId): Promise<void> => {
    await askInAccount(db, accountId, (trx) => readCheckoutFacts(trx, id, null))
    await inAccount(db, accountId, (trx) => Promise.all([lockIdentity(trx, id), readCheckoutFacts(trx, id, null), readCredentials(trx, id)]))
  }
  const checked = async (id: IdentityId): Promise<void> => {
    const [reader] = await askInAccount(db, accountId, (trx) => Promise.all([readPrincipal(trx, userId), readCheckoutFacts(trx, id, null)]))
    const principal = reader as Principal
    const place = { ...vault, identityId: id }
    const { permit } = decide(principal, 'identity.checkout', place)
    const actor = { kind: 'user', id: userId, ip: '10.1.2.3' } as const
    const decision = await point.decide(questionOf(principal, 'identity.checkout', place, circumstancesOf({ token, actor }, { minutes: 30 })), {
      accountId,
      version: 1,
    })
    if (!permit || !decision.permit || decision.policies.length !== 1) throw new Error('the measured checkout is not permitted by its one policy')
    await inAccount(db, accountId, async (trx) => {
      const [unchanged] = await Promise.all([
        lockAuthority(trx, principal, vault),
        lockIdentity(trx, id),
        readCheckoutFacts(trx, id, null),
        readCredentials(trx, id),
      ])
      await judgeVaultAccess(trx, principal, vault, 'checkout', unchanged)
    })
  }
  await runLanes(identityIds, 1, bare)
  await runLanes(identityIds, 1, checked)
  await world.superuser.query('vacuum analyze')
  const runs: [Run[], Run[]] = [[], []]
  for (let round = 0; round < rounds; round += 1) {
    runs[0].push(await runLanes(identityIds, 1, bare))
    runs[1].push(await runLanes(identityIds, 1, checked))
  }
  return [figuresOf(runs[0]), figuresOf(runs[1])]
}

/** Fifty that judge group, vault, minutes, address and time, of which one permits. */
function manyPolicies(vaultId: string): string {
  const others = Array.from(
    { length: policyCount - 1 },
    (_, index) => `@id("p${index}") permit (principal in Group::"${randomUUID()}", action in [Action::"use"], resource in Vault::"${randomUUID()}")
      when { context has minutes && context.minutes <= ${30 + index} && context has ip && context.ip.isInRange(ip("10.0.0.0/8")) && context.now.toTime() >= duration("6h") };`,
  )
  return `${others.join('\n')}
    @id("bench") permit (principal, action in [Action::"use"], resource in Vault::"${vaultId}") when { context has minutes && context.minutes <= 60 };`
}
