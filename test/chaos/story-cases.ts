import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expectStatus } from '#stack/api-client.ts'
import { readHome } from '#stack/home.ts'
import type { Checkout } from '../stack/product.ts'
import type { KillCase } from './kill-cases.ts'
import { hasLines } from './line-cases.ts'
import { loginFaults } from './logins.ts'
import { giveBack, insist, take, until, type Scene } from './scene.ts'
import { moveToSecondConnector } from './second-connector.ts'
import { standAt } from './standstill.ts'
import type { Place } from './target.ts'
import { severalHosts } from './targets.ts'

/** While a host has not been changed, the vault gives for each what it has. */
async function expectEachKnown({ product, values, account }: Scene): Promise<void> {
  const faults = await loginFaults(product, values, account)
  if (faults.length > 0) throw new Error(`half way: ${faults.join('; ')}`)
}

export async function untilRotations({ product, account }: Pick<Scene, 'product' | 'account'>, states: readonly string[], limitMs = 60_000): Promise<void> {
  await until(
    async () => {
      const { rows } = await product.sql('select state from rotation where identity_id = $1 order by started_at', [account.identityId])
      return rows.map(({ state }) => state).join() === states.join()
    },
    `the rotations do not come to: ${states.join(', ')}`,
    limitMs,
  )
}

const rotate = ({ mia, account }: Scene): Promise<unknown> => insist(() => mia.post(`/v1/identities/${account.identityId}/rotate`, {}), 202)

/** K11: one host has the new value, another is not there until its job has failed; each shows what it has, and the next rotation brings them together. */
const oneHostOffline: KillCase = {
  name: 'one host is changed, and another is not there until the rotation has failed',
  fits: (target) => target.name === severalHosts && hasLines(target),
  provoke: async (scene) => {
    const last = scene.account.places.at(-1)
    const checkout = await take(scene)
    await last?.line?.set('closed')
    await giveBack(scene, checkout)
    await untilRotations(scene, ['failed'])
    await expectEachKnown(scene)
    const asked = await scene.product.sam.post(`/v1/identities/${scene.account.identityId}/reveal`, { reason: 'A test' })
    if (asked.status !== 409 || asked.body['code'] !== 'host-required') throw new Error(`a value without a host: ${asked.status}`)
    await last?.line?.set('pass')
    await rotate(scene)
    return { ...checkout, rotations: ['failed', 'confirmed'] }
  },
}

/** K21, and K11 where other hosts have the value already: the host refuses each candidate by its policy. */
const refusedByPolicy: KillCase = {
  name: 'a host refuses every value by its policy, and the connector dies at: job verified',
  fits: ({ places }) => places.some((place) => place.require !== undefined),
  provoke: async (scene) => {
    const strict = scene.account.places.find((place) => place.require !== undefined)
    try {
      await strict?.require?.(250)
      const checkout = await standAt(scene, 'connector', 'job verified', ({ die }) => die())
      await untilRotations(scene, ['failed'])
      await expectEachKnown(scene)
      await strict?.require?.(8)
      await rotate(scene)
      return { ...checkout, rotations: ['failed', 'confirmed'] }
    } finally {
      await strict?.require?.(8)
    }
  },
}

/** K18: nobody gets a value that is just being replaced, and nobody's value is replaced. */
const checkoutMeetsRotation: KillCase = {
  name: 'checkouts and rotations meet',
  provoke: async (scene) => {
    const { product, account, mia } = scene
    const checkoutUrl = `/v1/identities/${account.identityId}/checkout`
    const ask = { reason: 'A test', durationMinutes: 30 }
    const first = await standAt(scene, 'connector', 'job applying', async ({ goOn }) => {
      const { status } = await product.sam.post(checkoutUrl, ask)
      await goOn()
      if (status !== 409) throw new Error(`a checkout in the middle of a change: ${status}`)
    })
    await untilRotations(scene, ['confirmed'])
    const held = await take(scene)
    const { status, body } = await mia.post(`/v1/identities/${account.identityId}/rotate`, {})
    if (status !== 409 || body['code'] !== 'identity-currently-checked-out') throw new Error(`a rotation under a lease: ${status}`)
    await giveBack(scene, held)
    await untilRotations(scene, ['confirmed', 'confirmed'])
    const [taken] = await Promise.all([product.sam.post<Checkout>(checkoutUrl, ask), mia.post(`/v1/identities/${account.identityId}/rotate`, {})])
    if (taken.status === 201) {
      await sleep(1_500)
      const { username, value: password } = taken.body.credential
      for (const place of account.places) if (!(await place.logsIn({ username, password }))) throw new Error(`${place.name}: a value died under its lease`)
      await giveBack(scene, taken.body)
    }
    return { ...first, rotations: ['confirmed', 'confirmed', 'confirmed'] }
  },
}

/** K19: what a connector said of an older rotation is said again, when a later one has set another value. */
const oldResult: KillCase = {
  name: 'a connector is put back to where it was before its last results, and says an older one again',
  provoke: async (scene) => {
    const { stack } = scene
    const journal = readHome(stack.home)?.file('connector', 'journal.jsonl') as string
    const folder = mkdtempSync(path.join(tmpdir(), 'leasehold-journal-'))
    const kept = path.join(folder, 'journal.jsonl')
    try {
      const first = await standAt(scene, 'connector', 'job verified', async ({ die }) => {
        copyFileSync(journal, kept)
        await die()
      })
      await untilRotations(scene, ['confirmed'])
      await giveBack(scene, await take(scene))
      await untilRotations(scene, ['confirmed', 'confirmed'])
      await stack.hold('connector', 'SIGKILL')
      copyFileSync(kept, journal)
      await stack.restart('connector')
      await until(async () => isAllReported(journal), 'the old result is not said again')
      return { ...first, rotations: ['confirmed', 'confirmed'] }
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
}

/** Whether the last entry of each job says that its result was acknowledged. */
function isAllReported(journal: string): boolean {
  const last = new Map<string, string>()
  for (const line of readFileSync(journal, 'utf8').split('\n').slice(0, -1)) {
    const { jobId, state } = JSON.parse(line) as { jobId: string; state: string }
    last.set(jobId, state)
  }
  return [...last.values()].every((state) => state === 'reported')
}

/** K22: a person has set another value, and an offer of the rotation that this cancelled is still on its way. */
const cancelledOffer: KillCase = {
  name: 'an offer arrives after its rotation was cancelled',
  fits: hasLines,
  provoke: async (scene) => {
    const { stack, product, account, mia } = scene
    const checkout = await take(scene)
    await stack.kill('connector', 'SIGSTOP')
    await giveBack(scene, checkout)
    await until(async () => {
      const { rows } = await product.sql('select from job where identity_id = $1 and offered_at is not null', [account.identityId])
      return rows.length === account.places.length
    }, 'nothing is offered')
    const password = randomBytes(18).toString('base64url')
    for (const place of account.places) await place.set({ username: account.username, password })
    expectStatus(await mia.patch(`/v1/identities/${account.identityId}`, { credential: password }), 200)
    await stack.kill('connector', 'SIGCONT')
    await sleep(scene.awayMs)
    return { ...checkout, rotations: ['cancelled'] }
  },
}

/** K12: a host's connector is deregistered when another host has the new value; nobody else takes its job before the host is given to them. */
const deregistered: KillCase = {
  name: 'the connector of one host is deregistered when another host is changed',
  fits: (target) => target.name === severalHosts && hasLines(target),
  provoke: async (scene) => {
    const { product, account, mia } = scene
    const place = account.places.at(-1) as Place
    const second = await moveToSecondConnector(scene, place)
    try {
      const checkout = await take(scene)
      await second.stop()
      await giveBack(scene, checkout)
      const waiting = async (): Promise<boolean> => {
        const { rows } = await product.sql('select host_id from job where identity_id = $1 and state <> $2', [account.identityId, 'confirmed'])
        return rows.map(({ host_id: id }) => id).join() === place.hostId
      }
      await until(waiting, 'the other hosts are not changed')
      expectStatus(await mia.delete(`/v1/connectors/${second.id}`), 202)
      await sleep(scene.awayMs)
      if (!(await waiting())) throw new Error('somebody else has taken the job of a deregistered connector')
      await expectEachKnown(scene)
      return checkout
    } finally {
      await insist(() => mia.patch(`/v1/hosts/${place.hostId}`, { connectorId: second.formerId }), 200)
      second.remove()
    }
  },
}

/** What K20 comes to: the host has a value that the vault does not know, and its admin identity needs none to set the next. */
const unknownValue: KillCase = {
  name: 'the host has a value that the vault has lost, and the next rotation brings it back',
  fits: hasLines,
  provoke: async (scene) => {
    const checkout = await take(scene)
    for (const place of scene.account.places) await place.set({ username: scene.account.username, password: randomBytes(18).toString('base64url') })
    await giveBack(scene, checkout)
    return checkout
  },
}

export const storyCases: readonly KillCase[] = [unknownValue, oneHostOffline, refusedByPolicy, checkoutMeetsRotation, oldResult, cancelledOffer, deregistered]
