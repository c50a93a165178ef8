/** Who must agree, and whether they have. Pure: the people are those who may approve at this instant. */

/** One step of an approval: `needed` different people of `people`. */
export interface ApprovalStep<Person = string> {
  readonly needed: number
  readonly people: ReadonlySet<Person>
}

/** An approval of the present version of a request under the present version of its policy. */
export interface Approval<Person = string> {
  readonly userId: Person
  /** From 0. */
  readonly step: number
}

/** Where an approval stands. */
export interface ApprovalProgress {
  /** Approvals that count, for each step. */
  readonly given: readonly number[]
  /** The step that is asked now, from 0; null: everybody has agreed who must. */
  readonly current: number | null
}

/**
 * Without the requester, who never approves, and with at least `atLeast` people in all: what a policy of the account asks for
 * beyond the steps, the last step asks for.
 */
export function stepsFor<Person>(steps: readonly ApprovalStep<Person>[], requester: Person, atLeast: number): ApprovalStep<Person>[] {
  const missing = Math.max(0, atLeast - steps.reduce((sum, { needed }) => sum + needed, 0))
  return steps.map(({ needed, people }, index) => ({
    needed: index === steps.length - 1 ? needed + missing : needed,
    people: new Set([...people].filter((person) => person !== requester)),
  }))
}

/** Whoever may no longer approve does not count, and nobody counts twice, in whatever steps they are. */
export function progressOf<Person>(steps: readonly ApprovalStep<Person>[], approvals: readonly Approval<Person>[]): ApprovalProgress {
  const counted = new Set<Person>()
  const given = steps.map(({ people }, index) => {
    const fresh = approvals.filter(({ userId, step }) => step === index && people.has(userId) && !counted.has(userId))
    const persons = new Set(fresh.map(({ userId }) => userId))
    for (const person of persons) counted.add(person)
    return persons.size
  })
  const current = steps.findIndex(({ needed }, index) => (given[index] ?? 0) < needed)
  return { given, current: current === -1 ? null : current }
}

/**
 * The most people that can approve when each counts for one step only.
 *
 * @returns how many of the needed approvals can never be given; 0: enough people may approve
 */
export function unreachable<Person>(steps: readonly ApprovalStep<Person>[]): number {
  const seats = steps.flatMap(({ needed, people }) => Array.from({ length: needed }, () => people))
  const seatOf = new Map<Person, number>()
  /** Finds a person for a seat, moving others to seats that they may take as well (Kuhn's matching). */
  const fill = (seat: number, tried: Set<Person>): boolean => {
    for (const person of seats[seat] ?? []) {
      if (tried.has(person)) continue
      tried.add(person)
      const other = seatOf.get(person)
      if (other === undefined || fill(other, tried)) {
        seatOf.set(person, seat)
        return true
      }
    }
    return false
  }
  return seats.filter((_, seat) => !fill(seat, new Set())).length
}
