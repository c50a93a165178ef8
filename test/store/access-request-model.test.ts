import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Approver } from '#schemas/approval-policy.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { approvalSequences } from './approval-commands.ts'
import type { ModelPolicy, ModelStep } from './approval-model.ts'
import { createApprovalWorld, type ApprovalWorld, type Name } from './approval-world.ts'

/** `npm run model:approvals` sets them. */
const sequences = Number(process.env['LEASEHOLD_SEQUENCES'] ?? 50)
const seed = Number(process.env['LEASEHOLD_SEED'] ?? Date.now() % 1_000_000)

let database: TestDatabase
let world: ApprovalWorld
beforeAll(async () => {
  database = await createTestDatabase()
  world = await createApprovalWorld(database)
})
afterAll(() => database?.end())

const step = (needed: number, of: Partial<ModelStep>): ModelStep => ({ needed, group: false, permission: false, named: [], ...of })
const policies: readonly ModelPolicy[] = [
  { steps: [step(2, { group: true })], escalates: false },
  { steps: [step(1, { group: true }), step(1, { permission: true })], escalates: false },
  { steps: [step(2, { group: true, permission: true, named: ['sam'] })], escalates: true },
  { steps: [step(1, { named: ['ann', 'bob'] }), step(1, { group: true, named: ['ann'] })], escalates: true },
]

const approversOf = ({ group, permission, named }: ModelStep): Approver[] => [
  ...(group ? [{ type: 'group' as const, id: world.groupId }] : []),
  ...(permission ? [{ type: 'permission' as const }] : []),
  ...named.map((name) => world.person(name)),
]

test(`in ${sequences} sequences of events (seed ${seed}) nothing is checked out without enough different people who may approve, and everything that they approved is`, async () => {
  const seen: Record<string, number> = {}
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...policies), approvalSequences, async (policy, commands) => {
      const members = new Set<Name>(['ann', 'bob', 'sam'])
      const holders = new Set<Name>(['cat'])
      for (const name of ['ann', 'bob', 'cat', 'sam'] as const) {
        await world.setMember(name, members.has(name))
        await world.setHolder(name, holders.has(name))
      }
      const { identityId, policyId } = await world.addIdentity({
        steps: policy.steps.map(({ needed, ...of }) => ({ needed, approvers: approversOf({ needed, ...of }) })),
        escalation: policy.escalates ? { afterMinutes: 20, approvers: [world.person('dan')] } : null,
      })
      await fc.asyncModelRun(
        () => ({ model: { policy, members, holders, policyVersion: 1, requests: [], taken: false }, real: { world, identityId, policyId, seen } }),
        commands,
      )
    }),
    { numRuns: sequences, seed, endOnFailure: process.env['LEASEHOLD_SHRINK'] === undefined },
  )
  console.log(`${sequences} sequences, seed ${seed}:`, JSON.stringify(seen))
  // Sequences in which nothing ever happens would prove nothing.
  expect(seen['checkout'] ?? 0).toBeGreaterThan(sequences / 20)
}, 3_600_000)
