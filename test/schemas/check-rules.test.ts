import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkHold, checkTime, maximumClaims, maximumOffers, nextCheckStep, verdictOfCheck, type CheckTurn } from '#schemas/rules/check.ts'

describe('what a connector says of a check', () => {
  const said = (outcome: 'confirmed' | 'unchanged' | 'unknown', stagedLogsIn: boolean | null, reasonClass: string | null = null) =>
    verdictOfCheck({ outcome, stagedLogsIn, reasonClass })

  test('proves the value where it logs in, and disproves it only where a login was refused', () => {
    expect(said('confirmed', true)).toEqual({ outcome: 'in_sync', reasonClass: null })
    expect(said('unknown', false, 'denied')).toEqual({ outcome: 'drifted', reasonClass: 'denied' })
    for (const outcome of ['unchanged', 'unknown'] as const) {
      expect(said(outcome, null, 'unreachable')).toEqual({ outcome: 'unreachable', reasonClass: 'unreachable' })
    }
  })
})

describe('the turn of a check', () => {
  const turn = (more: Partial<CheckTurn> = {}): CheckTurn => ({ state: 'waiting', claims: 0, offers: 0, holdMs: 0, online: true, taken: false, ...more })

  test('offers it, and to a connector that is away only counts', () => {
    expect(nextCheckStep(turn())).toEqual({ do: 'offer', sent: true })
    expect(nextCheckStep(turn({ online: false }))).toEqual({ do: 'offer', sent: false })
  })

  test('waits while somebody is at it, or at another host of the identity', () => {
    expect(nextCheckStep(turn({ state: 'claimed', holdMs: 7 }))).toEqual({ do: 'wait', ms: 7 })
    expect(nextCheckStep(turn({ taken: true }))).toMatchObject({ do: 'wait' })
  })

  test('offers a lost claim once more, and then nobody can tell', () => {
    expect(nextCheckStep(turn({ state: 'claimed', claims: 1 }))).toEqual({ do: 'offer', sent: true })
    expect(nextCheckStep(turn({ state: 'claimed', claims: 2 }))).toEqual({ do: 'end', outcome: 'unknown', reasonClass: 'lapsed' })
  })

  test('gives it up when nobody takes it: after half a minute of silence, or ten minutes of full hands', () => {
    const offers = { offline: maximumOffers.offline, online: maximumOffers.online }
    expect(nextCheckStep(turn({ online: false, offers: offers.offline }))).toEqual({ do: 'end', outcome: 'unreachable', reasonClass: 'connector-offline' })
    expect(nextCheckStep(turn({ offers: offers.offline }))).toMatchObject({ do: 'offer' })
    expect(nextCheckStep(turn({ offers: offers.online }))).toEqual({ do: 'end', outcome: 'unreachable', reasonClass: 'late' })
  })

  test('is over with the check', () => {
    for (const state of ['done', 'cancelled'] as const) expect(nextCheckStep(turn({ state }))).toEqual({ do: 'nothing' })
  })

  test('never lets more than two connectors log in, whatever happens', () => {
    const events = fc.array(fc.record({ claims: fc.boolean(), online: fc.boolean(), taken: fc.boolean() }), { maxLength: 200 })
    fc.assert(
      fc.property(events, (turns) => {
        let check = turn()
        let logins = 0
        for (const { claims, ...more } of turns) {
          const step = nextCheckStep({ ...check, ...more })
          if (step.do === 'end') break
          if (step.do !== 'offer') continue
          check = { ...check, state: 'waiting', offers: check.offers + 1 }
          if (!claims || !step.sent) continue
          logins += 1
          check = { ...check, state: 'claimed', claims: check.claims + 1, offers: 0 }
        }
        expect(logins).toBeLessThanOrEqual(maximumClaims)
      }),
    )
  })

  test('a connector has given a login up before its claim is lost', () => {
    // 30 s more than it was told is what a job has at most (connector/timed-job.ts).
    expect(checkHold).toBeGreaterThan(checkTime + 30_000)
  })
})
