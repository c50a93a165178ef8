import { randomBytes, randomUUID } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import type { CreateApprovalPolicy } from '#schemas/approval-policy.ts'
import { AccessRequestId, ApprovalPolicyId, IdentityId, LeaseId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import { readAccessRequest, type AccessRequestView } from '#store/access-request.ts'
import { acquireLease, type Checkout } from '#store/acquire-lease.ts'
import { createApprovalPolicy } from '#store/approval-policy.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { createIdentity } from '#store/create-identity.ts'
import { decideAccessRequest } from '#store/decide-access-request.ts'
import { createGrant } from '#store/grant.ts'
import { addMember, createGroup, removeMember } from '#store/idp-group.ts'
import { openAccessRequest } from '#store/open-access-request.ts'
import { recordOrganizationSecret } from '#store/organization-secret.ts'
import { createOrganization } from '#store/organization.ts'
import { endOverdueLeases } from '#store/release-lease.ts'
import { assignRole, endAssignment } from '#store/role-assignment.ts'
import { createRole } from '#store/role.ts'
import { createVault } from '#store/vault.ts'
import { createTestAccount, type TestAccount } from '../support/account.ts'
import type { TestDatabase } from '../support/database.ts'
import { storedValue } from '../support/stored-value.ts'

/** mia owns the account; sam asks; the others may become approvers. */
const people = { mia: 'owner', sam: ['pam_vaults.view'], ann: [], bob: [], cat: [], dan: [] } as const
export type Name = keyof typeof people
export const names = Object.keys(people) as Name[]

type Run = <T>(decide: (trx: Transaction) => Promise<T>) => Promise<T>

/** Asks again who waited too long for a lock: on a slow machine that says nothing about what is decided. */
const patient =
  (run: Run, left = 20): Run =>
  (decide) =>
    run(decide).catch((error: { code?: string }) => {
      if (error.code !== 'busy' || left === 0) throw error
      return patient(run, left - 1)(decide)
    })

type Settings = Omit<CreateApprovalPolicy, 'identityId' | 'identityGroupId'>

/** A vault whose identities are used with an approval, and the people for it; every step by the real deciding transactions. */
export interface ApprovalWorld {
  readonly database: TestDatabase
  readonly account: TestAccount<Name>
  readonly groupId: string
  readonly person: (name: Name) => { readonly type: 'user'; readonly id: string }
  /** Two pools, as of two replicas of the API. */
  readonly replicas: readonly Run[]
  readonly addIdentity: (
    policy: Partial<Settings> & Pick<Settings, 'steps'>,
  ) => Promise<{ readonly identityId: IdentityId; readonly policyId: ApprovalPolicyId }>
  readonly open: (identityId: IdentityId, minutes: number, who?: Name) => Promise<AccessRequestId>
  readonly decide: (id: AccessRequestId, who: Name, verdict: 'approve' | 'deny', version?: number, replica?: number) => Promise<void>
  readonly checkOut: (identityId: IdentityId, requestId: AccessRequestId | null, minutes: number, replica?: number) => Promise<Checkout>
  readonly read: (id: AccessRequestId) => Promise<AccessRequestView>
  /** Puts somebody into the group, or takes them out. */
  readonly setMember: (name: Name, inside: boolean) => Promise<void>
  /** Gives somebody pam_requests.approve, or takes it away. */
  readonly setHolder: (name: Name, holds: boolean) => Promise<void>
  /** Moves the clock of every decision. */
  readonly pass: (ms: number) => Promise<void>
}

export async function createApprovalWorld(database: TestDatabase): Promise<ApprovalWorld> {
  const pools: Db[] = [database.as('leasehold_api', 4), database.as('leasehold_api', 4)]
  const made = await createTestAccount(database, pools[0] as Db, people)
  const replicas = pools.map((pool) => patient((decide) => inAccount(pool, made.id, decide)))
  const run = replicas[0] as Run
  const account = { ...made, run }
  const mia = await account.principal('mia')
  const { actor } = account.people.mia
  const as = { caller: mia, actor }
  const [organizationId, vaultId, groupId, roleId] = [OrganizationId.parse(uuidv7()), VaultId.parse(uuidv7()), uuidv7(), uuidv7()]
  await run(async (trx) => {
    await createOrganization(trx, organizationId, { name: 'main' }, actor)
    await recordOrganizationSecret(trx, organizationId, 1, actor)
    await createVault(trx, vaultId, { organizationId, name: 'demo' }, actor)
    await createGroup(trx, { id: groupId, ...as }, { name: 'approvers', source: 'api' })
    await createRole(trx, roleId, { name: 'approver', permissions: ['pam_requests.approve'] }, actor)
    const principal = { type: 'user', id: account.people.sam.idpUserId } as const
    await createGrant(trx, { id: uuidv7(), vaultId, principal: mia, actor }, { principal, level: 'checkout' })
  })
  const on = (replica: number) => replicas[replica] ?? run
  const assignments = new Map<Name, string>()
  const sealed = () => ({ encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(40) }) as const
  const person = (name: Name) => ({ type: 'user', id: account.people[name].idpUserId }) as const
  return {
    database,
    account,
    groupId,
    person,
    replicas,
    addIdentity: (policy) =>
      run(async (trx) => {
        const identityId = IdentityId.parse(uuidv7())
        const settings = { identityGroupId: vaultId, name: identityId, username: 'app', credentialType: 'password' } as const
        await createIdentity(trx, identityId, settings, storedValue(), actor)
        const policyId = ApprovalPolicyId.parse(uuidv7())
        const defaults = { required: true, timeoutMinutes: 60, validityMinutes: 30, maximumMinutes: null, escalation: null, windows: [] }
        await createApprovalPolicy(trx, { id: policyId, ...as }, { ...defaults, ...policy, identityId })
        return { identityId, policyId }
      }),
    open: async (identityId, minutes, who = 'sam') => {
      const id = AccessRequestId.parse(randomUUID())
      const principal = await account.principal(who)
      const asked = {
        id,
        identityId,
        vault: { vaultId, organizationId },
        hostId: null,
        minutes,
        ticket: null,
        reason: sealed(),
        atLeast: 1,
        requestHash: randomBytes(32),
      }
      await run((trx) => openAccessRequest(trx, { ...asked, principal, actor: account.people[who].actor }))
      return id
    },
    decide: (id, who, verdict, expectedVersion, replica = 0) => {
      const { userId, actor: by } = account.people[who]
      return on(replica)(async (trx) => {
        const { version } = await readAccessRequest(trx, id)
        await decideAccessRequest(trx, { id, userId, verdict, comment: null, actor: by, expectedVersion: expectedVersion ?? version })
      })
    },
    checkOut: async (identityId, requestId, minutes, replica = 0) => {
      const principal = await account.principal('sam')
      await on(replica)((trx) => endOverdueLeases(trx, identityId, { kind: 'system', id: 'test' }))
      const request = { leaseId: LeaseId.parse(randomUUID()), identityId, vault: { vaultId, organizationId }, hostId: null, minutes, requestId, principal }
      return on(replica)((trx) =>
        acquireLease(trx, { ...request, actor: account.people.sam.actor, requestHash: randomBytes(32), reason: sealed(), open: () => Secret.of('opened') }),
      )
    },
    read: (id) => run((trx) => readAccessRequest(trx, id)),
    setMember: (name, inside) =>
      run(async (trx) => {
        const { idpUserId } = account.people[name]
        await (inside ? addMember(trx, { id: groupId, ...as }, idpUserId) : removeMember(trx, { id: groupId, ...as }, idpUserId))
      }),
    setHolder: (name, holds) =>
      run(async (trx) => {
        const id = assignments.get(name)
        if (holds && id === undefined) {
          const made = uuidv7()
          await assignRole(trx, { id: made, roleId, ...as }, { principal: person(name) })
          assignments.set(name, made)
        } else if (!holds && id !== undefined) {
          await endAssignment(trx, { id, roleId, ...as })
          assignments.delete(name)
        }
      }),
    pass: async (ms) => {
      await database.superuser(
        `insert into clock_shift values ($1, make_interval(secs => $2::float8)) on conflict (account_id) do update set shift = clock_shift.shift + excluded.shift`,
        [account.id, ms / 1_000],
      )
    },
  }
}
