import type { Obligation } from '#schemas/decision.ts'
import type { StepUpRule } from '#schemas/step-up.ts'

/** What the enforcement point must do about a permit. */
export interface Obligations {
  /** Longest time that the decision and what is given by it lasts, s. */
  readonly ttlSeconds?: number
  /** Uses until the next decision. */
  readonly maxUses?: number
  /** Different people who must agree at least. */
  readonly approvers?: number
  readonly login: StepUpRule
}

const whole =
  (least: number, most: number) =>
  (value: string): boolean =>
    /^\d{1,9}$/.test(value) && Number(value) >= least && Number(value) <= most

/** Every obligation that is understood, and which values of it are. */
const understood: Readonly<Record<string, (value: string, acrOrder: readonly string[]) => boolean>> = {
  ttl_seconds: whole(1, 86_400),
  max_uses: whole(1, 1_000_000),
  step_up: (value, acrOrder) => acrOrder.includes(value),
  max_age: whole(30, 86_400),
  require_approval: whole(1, 10),
}

/**
 * What is wrong with an obligation; undefined: nothing. One that is not understood must not be ignored, so its permit is none.
 *
 * @param acrOrder authentication contexts, weakest first
 */
export function obligationFault({ type, value }: Obligation, acrOrder: readonly string[]): string | undefined {
  if (!Object.hasOwn(understood, type))
    return `obligation_${type} is none of ${Object.keys(understood)
      .map((name) => `obligation_${name}`)
      .join(', ')}`
  return understood[type]?.(value, acrOrder) === true ? undefined : `obligation_${type} has a value that it cannot have`
}

/**
 * The strictest of all obligations; undefined: one of them is not understood, which is a denial.
 *
 * @param acrOrder authentication contexts, weakest first
 */
export function strictest(obligations: readonly Obligation[], acrOrder: readonly string[]): Obligations | undefined {
  if (obligations.some((obligation) => obligationFault(obligation, acrOrder) !== undefined)) return undefined
  const least = (type: string): number | undefined => {
    const values = obligations.filter((obligation) => obligation.type === type).map(({ value }) => Number(value))
    return values.length === 0 ? undefined : Math.min(...values)
  }
  const acrs = obligations.filter(({ type }) => type === 'step_up').map(({ value }) => acrOrder.indexOf(value))
  const [ttlSeconds, maxUses] = [least('ttl_seconds'), least('max_uses')]
  const approvers = obligations.filter(({ type }) => type === 'require_approval').map(({ value }) => Number(value))
  return {
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...(maxUses === undefined ? {} : { maxUses }),
    ...(approvers.length === 0 ? {} : { approvers: Math.max(...approvers) }),
    login: { acr: acrOrder[Math.max(...acrs)] ?? null, maxAgeSeconds: least('max_age') ?? null },
  }
}
