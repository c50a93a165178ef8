import { createHttpClient } from './http-client.ts'
import { runLanes, type Run } from './figures.ts'
import type { AccessHeaders, Person } from './person.ts'
import type { World } from './world.ts'

/** A lease that a measured checkout made, and whose it is. */
export interface Taken {
  readonly leaseId: string
  readonly person: Person
}

/** Whole HTTP requests, as the clients of the API make them. */
export interface Requests {
  /** Checks every identity out once. @throws Error when one is not answered 201 with its credential */
  checkOut(identityIds: readonly string[], clients: number, proof: 'bearer' | 'dpop'): Promise<Run & { readonly taken: readonly Taken[] }>
  checkOutOne(identityId: string, lane: number): Promise<Taken>
  /** Gives the leases back. @throws Error when one is not answered 200 */
  checkIn(taken: readonly Taken[], clients: number): Promise<Run>
  checkInOne(taken: Taken): Promise<void>
  close(): void
}

const ask = JSON.stringify({ reason: 'A measured checkout', durationMinutes: 30 })

export function createRequests({ stack, people }: World): Requests {
  const http = createHttpClient(stack.urls.api)
  const personOf = (lane: number): Person => people[lane % people.length] as Person

  async function take(identityId: string, person: Person, headers: AccessHeaders): Promise<Taken> {
    const { status, body } = await http.post(`/v1/identities/${identityId}/checkout`, ask, headers)
    if (status !== 201) throw new Error(`a checkout was answered ${status}: ${body.slice(0, 300)}`)
    const { lease, credential } = JSON.parse(body) as { lease: { id: string }; credential: { value: string } | null }
    if (credential === null) throw new Error('a checkout came without its credential')
    return { leaseId: lease.id, person }
  }

  async function checkInOne({ leaseId, person }: Taken): Promise<void> {
    const { status, body } = await http.post(`/v1/leases/${leaseId}/checkin`, '{}', person.bearer)
    if (status !== 200) throw new Error(`a checkin was answered ${status}: ${body.slice(0, 300)}`)
  }

  return {
    async checkOut(identityIds, clients, proof) {
      const taken: Taken[] = []
      // Proofs are signed before the clock runs: making them is the clients' work, checking them is ours.
      const asks = await Promise.all(
        identityIds.map(async (identityId, index) => {
          const person = personOf(index)
          const headers = proof === 'bearer' ? person.bearer : await person.proven(`${stack.urls.api}/v1/identities/${identityId}/checkout`)
          return { identityId, person, headers }
        }),
      )
      const run = await runLanes(asks, clients, async ({ identityId, person, headers }) => taken.push(await take(identityId, person, headers)))
      return { ...run, taken }
    },
    checkOutOne: (identityId, lane) => take(identityId, personOf(lane), personOf(lane).bearer),
    checkIn: (taken, clients) => runLanes(taken, clients, checkInOne),
    checkInOne,
    close: () => http.close(),
  }
}
