import type { Obligation } from '#schemas/decision.ts'
import { askEngine } from './cedar-engine.ts'
import { cedarSchema } from './cedar-schema.ts'
import { obligationFault } from './obligations.ts'
import { sizeFault } from './policy-size.ts'

/** Policies of an account, taken apart: each under its id, with what it obliges to. */
export interface Policies {
  readonly byId: Readonly<Record<string, string>>
  readonly obligations: ReadonlyMap<string, readonly Obligation[]>
}

export interface PolicyFault {
  /** Id of the policy, or `policies`. */
  readonly path: string
  readonly message: string
}

const mostPolicies = 200
/** Who has more of them to mend sees the rest afterwards. */
const mostFaults = 20
const prefix = 'obligation_'

/**
 * Takes the text of a policy set apart and checks it against the schema, strictly.
 *
 * @param acrOrder authentication contexts that `@obligation_step_up` may name
 * @returns the policies, or everything that is wrong with them
 */
export function readPolicies(text: string, acrOrder: readonly string[]): Policies | { readonly faults: readonly PolicyFault[] } {
  const tooMuch = sizeFault(text)
  if (tooMuch !== undefined) return { faults: [{ path: 'policies', message: tooMuch }] }
  const parts = askEngine((cedar) => cedar.policySetTextToParts(text))
  if (parts.type === 'failure')
    return { faults: parts.errors.slice(0, mostFaults).map(({ message, sourceLocations }) => ({ path: 'policies', message: at(message, sourceLocations) })) }
  if (parts.policy_templates.length > 0) return { faults: [{ path: 'policies', message: 'must not hold templates' }] }
  if (parts.policies.length === 0) return { faults: [{ path: 'policies', message: 'must hold a policy: without one nothing is permitted' }] }
  if (parts.policies.length > mostPolicies) return { faults: [{ path: 'policies', message: `must hold at most ${mostPolicies} policies` }] }
  const read = parts.policies.map((policy, index) => ({ policy, ...annotationsOf(policy, `policy${index + 1}`) }))
  const faults = read.flatMap(({ id, unknown, obligations, effect }) => [
    ...unknown.map((name) => ({ path: id, message: `@${name} means nothing; known are @id and @obligation_…` })),
    ...faultsOf(id, obligations, effect, acrOrder),
  ])
  const ids = read.map(({ id }) => id)
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => ({ path: id, message: 'this id is there twice' }))
  const byId = Object.fromEntries(read.map(({ id, policy }) => [id, policy]))
  const all = [...faults, ...twice, ...validate(byId)]
  return all.length > 0 ? { faults: all.slice(0, mostFaults) } : { byId, obligations: new Map(read.map(({ id, obligations }) => [id, obligations])) }
}

function annotationsOf(policy: string, otherwise: string): { id: string; effect: string; unknown: readonly string[]; obligations: readonly Obligation[] } {
  const json = askEngine((cedar) => cedar.policyToJson(policy))
  const { annotations = {}, effect = 'permit' } = json.type === 'success' ? json.json : {}
  return {
    id: annotations['id'] ?? otherwise,
    effect,
    // A word that is misspelt must not be an obligation that nobody hears of.
    unknown: Object.keys(annotations).filter((name) => name !== 'id' && !name.startsWith(prefix)),
    obligations: Object.entries(annotations).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [{ type: name.slice(prefix.length), value: String(value ?? '') }] : [],
    ),
  }
}

function faultsOf(id: string, obligations: readonly Obligation[], effect: string, acrOrder: readonly string[]): PolicyFault[] {
  const named = /^[\w.:-]{1,100}$/.test(id) ? [] : [{ path: 'policies', message: 'an id must be 1 to 100 letters, digits or . : _ -' }]
  const useless = effect === 'forbid' && obligations.length > 0 ? [{ path: id, message: 'a forbid obliges to nothing' }] : []
  return [
    ...named,
    ...useless,
    ...obligations.flatMap((obligation) => {
      const fault = obligationFault(obligation, acrOrder)
      return fault === undefined ? [] : [{ path: id, message: fault }]
    }),
  ]
}

function validate(byId: Readonly<Record<string, string>>): PolicyFault[] {
  const answer = askEngine((cedar) =>
    cedar.validate({ schema: cedarSchema, policies: { staticPolicies: { ...byId } }, validationSettings: { mode: 'strict' } }),
  )
  if (answer.type === 'failure') return answer.errors.map(({ message }) => ({ path: 'policies', message }))
  return answer.validationErrors.map(({ policyId, error: { message, help } }) => ({ path: policyId, message: help == null ? message : `${message} (${help})` }))
}

const at = (message: string, places: readonly { readonly start: number; readonly label: string | null }[] = []): string =>
  places[0] === undefined ? message : `${message} at character ${places[0].start + 1}${places[0].label === null ? '' : `: ${places[0].label}`}`
