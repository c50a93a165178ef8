import type { AccessDecision, AccessQuestion, DecisionPoint, PolicyRef } from '#schemas/decision.ts'
import { askEngine, engineGeneration } from './cedar-engine.ts'
import { readPolicies, type Policies } from './cedar-policies.ts'
import { baselinePolicies, groupOf } from './cedar-schema.ts'

/**
 * The embedded decision point: Cedar, in this process. Default deny, a forbid wins, and a policy that cannot be evaluated denies.
 *
 * @param load text of one version of an account's policies
 * @param acrOrder authentication contexts that policies may name
 * @param slots accounts whose policies stay parsed: the engine keeps a set until another one gets its name, so names are used again
 */
export function createCedarDecisionPoint(
  load: (ref: PolicyRef & { readonly version: number }) => Promise<string>,
  acrOrder: readonly string[],
  slots = 256,
): DecisionPoint {
  // In both the one that was used last is the last one.
  const known = new Map<string, { readonly version: number | null; readonly policies: Promise<Policies> }>()
  const held = new Map<string, { readonly version: number | null; readonly generation: number; readonly slot: string }>()

  function policiesOf(ref: PolicyRef): Promise<Policies> {
    const before = known.get(ref.accountId)
    const entry = before?.version === ref.version ? before : { version: ref.version, policies: read(ref) }
    known.delete(ref.accountId)
    known.set(ref.accountId, entry)
    if (known.size > slots) known.delete(oldestOf(known))
    entry.policies.catch(() => {
      if (known.get(ref.accountId) === entry) known.delete(ref.accountId)
    })
    return entry.policies
  }

  async function read(ref: PolicyRef): Promise<Policies> {
    const { version } = ref
    const policies = readPolicies(version === null ? baselinePolicies : await load({ ...ref, version }), acrOrder)
    if ('faults' in policies) throw new Error('stored policies do not fit the schema')
    return policies
  }

  /** Nobody else comes in between this and the question: the engine is asked in the same turn. */
  function slotOf({ accountId, version }: PolicyRef, policies: Policies): string {
    const before = held.get(accountId)
    const slot = before?.slot ?? takeSlot()
    if (before?.version !== version || before.generation !== engineGeneration()) parse(slot, policies)
    held.delete(accountId)
    held.set(accountId, { version, generation: engineGeneration(), slot })
    return slot
  }

  function takeSlot(): string {
    if (held.size < slots) return `slot ${held.size}`
    const oldest = oldestOf(held)
    const { slot } = held.get(oldest) ?? { slot: oldest }
    held.delete(oldest)
    return slot
  }

  return {
    async decide(question, ref) {
      const policies = await policiesOf(ref)
      return ask(slotOf(ref, policies), policies, question)
    },
  }
}

const oldestOf = (map: ReadonlyMap<string, unknown>): string => map.keys().next().value ?? ''

/** What a policy set would decide; nothing is kept of it. */
export function decideOnce(policies: Policies, question: AccessQuestion): AccessDecision {
  parse('once', policies)
  return ask('once', policies, question)
}

function parse(slot: string, { byId }: Policies): void {
  const answer = askEngine((cedar) => cedar.preparsePolicySet(slot, { staticPolicies: { ...byId } }))
  if (answer.type === 'failure') throw new Error('stored policies cannot be parsed')
}

function ask(slot: string, policies: Policies, question: AccessQuestion): AccessDecision {
  const answer = askEngine((cedar) => cedar.statefulIsAuthorized({ ...callOf(question), preparsedPolicySetId: slot }))
  if (answer.type === 'failure') throw new Error(`Cedar cannot decide: ${answer.errors.map(({ message }) => message).join('; ')}`)
  const { decision, diagnostics } = answer.response
  // A forbid that fails is skipped by Cedar; for us nobody passes what could not be judged.
  if (diagnostics.errors.length > 0) return { permit: false, policies: diagnostics.errors.map(({ policyId }) => policyId), obligations: [] }
  const permit = decision === 'allow'
  const obligations = permit ? diagnostics.reason.flatMap((id) => policies.obligations.get(id) ?? []) : []
  return { permit, policies: diagnostics.reason, obligations }
}

const cedarTypes = { account: 'Account', organization: 'Organization', vault: 'Vault', identity: 'Identity' } as const

/** The question in Cedar's words. What is not known is absent. The request is ours: only policies are held against the schema. */
function callOf({ subject, action, resource, context }: AccessQuestion) {
  const { now, ip, ...facts } = context
  const user = { type: 'User', id: subject.id }
  const asked = { type: 'Action', id: action.name }
  const { owner, email, groupIds } = subject.properties
  const place = [resource, ...resource.parents].map(({ type, id }) => ({ type: cedarTypes[type], id }))
  return {
    principal: user,
    action: asked,
    resource: place[0] ?? user,
    context: {
      ...Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)),
      now: { __extn: { fn: 'datetime', arg: now.toISOString() } },
      ...(ip === undefined ? {} : { ip: { __extn: { fn: 'ip', arg: ip } } }),
    },
    entities: [
      { uid: asked, attrs: {}, parents: [{ type: 'Action', id: groupOf(action.name) }] },
      { uid: user, attrs: { owner, ...(email === null ? {} : { email }) }, parents: groupIds.map((id) => ({ type: 'Group', id })) },
      ...groupIds.map((id) => ({ uid: { type: 'Group', id }, attrs: {}, parents: [] })),
      ...place.map((uid, index) => ({ uid, attrs: {}, parents: place.slice(index + 1, index + 2) })),
    ],
  }
}
