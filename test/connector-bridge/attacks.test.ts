import { createHmac, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import type { NatsConnection } from 'nats'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { RunningConnector } from '#connector/connector.ts'
import { offerType, resultText, subjects, type JobResult, type Offer } from '#schemas/connector-message.ts'
import type { ConnectorId, IdentityId, RotationId } from '#schemas/ids.ts'
import { openIntruder, openRogue, type Rogue } from './rogue.ts'
import { runConnector } from './support.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

let world: BridgeWorld
beforeAll(async () => {
  world = await createBridgeWorld()
}, 60_000)
afterAll(() => world?.end())

const events = async (action: string, connectorId: string): Promise<{ outcome: string; count: number | undefined }[]> =>
  (
    await world.database.superuser('select outcome, detail from audit_event where action = $1 and connector_id = $2 and effect = $3 order by id', [
      action,
      connectorId,
      'deny',
    ])
  ).rows.map((row) => ({ outcome: row.outcome as string, count: row.detail?.count as number | undefined }))

describe('an offer that is not ours is refused, and reported', () => {
  let connector: { readonly id: ConnectorId; readonly home: string }
  let running: RunningConnector
  let intruder: NatsConnection
  beforeAll(async () => {
    connector = await world.joinConnector()
    running = runConnector(connector.home)
    intruder = await openIntruder(world)
    await vi.waitFor(async () => expect((await world.call('GET', `/v1/connectors/${connector.id}`)).body.online).toBe(true), { timeout: 10_000 })
  })
  afterAll(async () => {
    await intruder.close()
    await running.stop()
  })

  const now = (): number => Math.floor(Date.now() / 1_000)
  const offer = (more: Partial<Offer> = {}): Offer => ({
    v: 1,
    connectorId: connector.id,
    jobId: randomUUID() as Offer['jobId'],
    epoch: 1,
    kind: 'reset',
    iat: now(),
    exp: now() + 10,
    ...more,
  })
  const signed = async (payload: object): Promise<string> => world.transit.signJws(await world.transit.signingKey('connector-signing'), offerType, payload)
  const foreign = async (): Promise<string> => {
    const { privateKey } = await generateKeyPair('Ed25519')
    const jws = await signed(offer())
    const { kid } = JSON.parse(Buffer.from(jws.split('.')[0] as string, 'base64url').toString()) as { kid: string }
    return new SignJWT({ ...offer() }).setProtectedHeader({ alg: 'EdDSA', typ: offerType, kid }).sign(privateKey)
  }
  const cases: readonly (readonly [what: string, make: () => Promise<string> | string, why: string])[] = [
    [
      'whose payload was altered',
      async () => (await signed(offer())).replace(/\.[^.]+\./, `.${Buffer.from(JSON.stringify(offer())).toString('base64url')}.`),
      'signature',
    ],
    ['that is signed by another key under our name', foreign, 'signature'],
    ['that is not signed', () => new UnsecuredJWT({ ...offer() }).encode(), 'signature'],
    [
      'that is signed for something else',
      async () => world.transit.signJws(await world.transit.signingKey('connector-signing'), 'other+jws', offer()),
      'signature',
    ],
    ['that is no offer', () => signed({ hello: 'world' }), 'malformed'],
    ['for another connector', () => signed(offer({ connectorId: randomUUID() as ConnectorId })), 'foreign'],
    ['that is over', () => signed(offer({ iat: now() - 100, exp: now() - 90 })), 'expired'],
    ['that is not yet valid', () => signed(offer({ iat: now() + 100, exp: now() + 110 })), 'expired'],
    ['that would be valid for long', () => signed(offer({ exp: now() + 3_600 })), 'expired'],
  ]
  test.each(cases)('%s', async (_, make, why) => {
    const reply = await intruder.request(subjects.offer(connector.id), await make(), { timeout: 2_000 })
    expect(reply.json()).toEqual({ v: 1, accepted: false, why })
  })

  test('one that was taken before, whenever it comes again', async () => {
    const heard: string[] = []
    const subscription = intruder.subscribe(subjects.offer(connector.id), { callback: (_, message) => void heard.push(message.string()) })
    await intruder.flush()
    const { identityId } = await world.addAccount(connector.id)
    await world.untilRotation(await world.rotate(identityId), 'confirmed')
    subscription.unsubscribe()
    const reply = await intruder.request(subjects.offer(connector.id), heard[0] as string, { timeout: 2_000 })
    expect(reply.json()).toEqual({ v: 1, accepted: false, why: 'stale' })
  })

  test('each reason is on record, and a flood of them is counted instead of written down one by one', async () => {
    await Promise.all(Array.from({ length: 200 }, () => intruder.request(subjects.offer(connector.id), 'x.y.z', { timeout: 2_000 })))
    await expect
      .poll(async () => new Set((await events('connector.offer_refused', connector.id)).map(({ outcome }) => outcome)))
      .toEqual(new Set(['signature', 'malformed', 'foreign', 'expired', 'stale']))
    expect((await events('connector.offer_refused', connector.id)).length).toBeLessThanOrEqual(10)
  })
})

describe('a connector in wrong hands', () => {
  let mine: { readonly id: ConnectorId; readonly home: string }
  let theirs: { readonly id: ConnectorId; readonly home: string }
  let rogue: Rogue
  beforeAll(async () => {
    mine = await world.joinConnector()
    theirs = await world.joinConnector()
    rogue = await openRogue(world.nats.url, mine.home)
  })
  afterAll(() => rogue.connection.close())

  test('is heard under its own name only, and hears nothing that is for others', async () => {
    const hello = { v: 1, instance: rogue.instance, build: 'rogue', adapters: ['postgres'], open: [] }
    expect(await rogue.ask(subjects.hello(mine.id), hello)).toMatchObject({ v: 1, now: expect.any(Number) })
    for (const subject of [subjects.hello(theirs.id), '$SYS.REQ.SERVER.PING', 'pam.v1.c.x.up.hello'])
      expect(Object.keys(await rogue.ask(subject, hello))).toEqual(['none'])
    for (const subject of [subjects.offer(theirs.id), `${subjects.inboxPrefix(theirs.id)}.>`, '>', 'pam.v1.c.*.dn.>', '_INBOX.bridge.>']) {
      const refused = await new Promise<boolean>((resolve) => {
        rogue.connection.subscribe(subject, { callback: (error) => resolve(error !== null) })
        setTimeout(() => resolve(false), 1_500)
      })
      expect([subject, refused]).toEqual([subject, true])
    }
  })

  test('makes the bridge write into no inbox but its own', async () => {
    const heard: string[] = []
    const victim = await openRogue(world.nats.url, theirs.home)
    victim.connection.subscribe(`${subjects.inboxPrefix(theirs.id)}.stolen`, { callback: (_, message) => void heard.push(message.subject) })
    await victim.connection.flush()
    rogue.connection.publish(subjects.hello(mine.id), '{}', { reply: `${subjects.inboxPrefix(theirs.id)}.stolen` })
    expect(await rogue.ask(subjects.hello(mine.id), {})).toEqual({ v: 1, refused: 'malformed' })
    expect(heard).toEqual([])
    await victim.connection.close()
  })

  test('gets an answer of the table to whatever it says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(subjects.hello, subjects.claim, subjects.result, subjects.alarm),
        fc.oneof(
          fc.json(),
          fc.string({ maxLength: 2_000 }),
          fc.record({ v: fc.constant(1), jobId: fc.uuid(), epoch: fc.integer(), instance: fc.uuid(), mac: fc.string() }).map((value) => JSON.stringify(value)),
        ),
        async (subject, text) => {
          const answer = await rogue.ask(subject(mine.id), text)
          expect(['malformed', 'gone']).toContain(answer['refused'])
        },
      ),
      { numRuns: 60, seed: 7 },
    )
  })

  describe('with a claim of its own', () => {
    let identityId: IdentityId
    let rotationId: RotationId
    let good: JobResult
    let macKey: Buffer
    beforeAll(async () => {
      ;({ identityId } = await world.addAccount(mine.id))
      rotationId = await world.rotate(identityId)
      const [job] = (await world.rotation(rotationId)).jobs
      const request = { v: 1, jobId: job?.jobId, epoch: 1, instance: rogue.instance }
      const answer = await rogue.ask(subjects.claim(mine.id), request)
      const sealed = await rogue.open(answer['jwe'] as string)
      macKey = Buffer.from(sealed.macKey, 'base64url')
      const open = {
        v: 1 as const,
        jobId: sealed.jobId,
        epoch: 1,
        instance: rogue.instance,
        outcome: 'unchanged' as const,
        reasonClass: 'denied' as const,
        stagedLogsIn: false,
        knownLogsIn: true,
        macKeyId: sealed.macKeyId,
      }
      good = { ...open, mac: macOf(open) }
    })
    const macOf = (open: Omit<JobResult, 'mac'>, connectorId: string = mine.id): string =>
      createHmac('sha256', macKey).update(resultText(connectorId, open)).digest('base64url')
    const state = async () => (await world.rotation(rotationId)).jobs.map(({ state: at, epoch, attempts }) => ({ at, epoch, attempts }))

    test('another instance, another connector or another epoch does not get its secret', async () => {
      const request = { v: 1, jobId: good.jobId, epoch: 1, instance: rogue.instance }
      expect(await rogue.ask(subjects.claim(mine.id), request)).toHaveProperty('jwe')
      expect(await rogue.ask(subjects.claim(mine.id), { ...request, instance: randomUUID() })).toEqual({ v: 1, refused: 'gone' })
      expect(await rogue.ask(subjects.claim(mine.id), { ...request, epoch: 2 })).toEqual({ v: 1, refused: 'gone' })
      const other = await openRogue(world.nats.url, theirs.home)
      expect(await other.ask(subjects.claim(theirs.id), request)).toEqual({ v: 1, refused: 'gone' })
      const answer = await rogue.ask(subjects.claim(mine.id), request)
      await expect(other.open(answer['jwe'] as string)).rejects.toThrow()
      await other.connection.close()
    })

    test('a result with any field altered changes nothing, and is on record', async () => {
      const before = await state()
      const altered: JobResult[] = [
        { ...good, outcome: 'confirmed' },
        { ...good, outcome: 'unknown' },
        { ...good, reasonClass: null },
        { ...good, stagedLogsIn: true },
        { ...good, knownLogsIn: null },
        { ...good, epoch: 2 },
        { ...good, instance: randomUUID() },
        { ...good, mac: 'A'.repeat(43) },
      ]
      for (const result of altered) expect([result, await rogue.ask(subjects.result(mine.id), result)]).toEqual([result, { v: 1, refused: 'mac' }])
      expect(await state()).toEqual(before)
      const refusals = (await events('job.reported', mine.id)).filter(({ outcome }) => outcome === 'altered-result')
      expect(refusals).toHaveLength(altered.length)
    })

    test('its result is taken once; said again it is acknowledged, and it is not on record as an attack', async () => {
      expect(await rogue.ask(subjects.result(mine.id), good)).toEqual({ v: 1, ack: true, stale: false })
      const after = await state()
      expect(await rogue.ask(subjects.result(mine.id), good)).toEqual({ v: 1, ack: true, stale: true })
      expect(await state()).toEqual(after)
      expect((await events('job.reported', mine.id)).filter(({ outcome }) => outcome === 'stale-result')).toEqual([])
    })

    test('a result of an older epoch is stale, and one of a job that is not its own is foreign: both on record', async () => {
      await world.database.superuser(`update job set epoch = 5, instance = $2, reported_epochs = '{}' where id = $1`, [good.jobId, randomUUID()])
      expect(await rogue.ask(subjects.result(mine.id), good)).toEqual({ v: 1, ack: true, stale: true })
      const other = { ...good, jobId: randomUUID() as JobResult['jobId'] }
      expect(await rogue.ask(subjects.result(mine.id), other)).toEqual({ v: 1, ack: true, stale: true })
      const outcomes = (await events('job.reported', mine.id)).map(({ outcome }) => outcome)
      expect(outcomes).toEqual(expect.arrayContaining(['stale-result', 'foreign-result']))
    })
  })
})

test('a staged value that was changed in the database is given to no connector, and is on record', async () => {
  const { id, home } = await world.joinConnector()
  const rogue = await openRogue(world.nats.url, home)
  const { identityId } = await world.addAccount(id)
  const rotationId = await world.rotate(identityId)
  await world.database.superuser(
    'update credential_version set ciphertext = set_byte(ciphertext, 14, get_byte(ciphertext, 14) # 1) where identity_id = $1 and rotation_id = $2',
    [identityId, rotationId],
  )
  const [job] = (await world.rotation(rotationId)).jobs
  expect(await rogue.ask(subjects.claim(id), { v: 1, jobId: job?.jobId, epoch: 1, instance: rogue.instance })).toEqual({ v: 1, refused: 'unavailable' })
  const { rows } = await world.database.superuser(`select outcome from audit_event where identity_id = $1 and action = 'credential.decryption_failed'`, [
    identityId,
  ])
  expect(rows).toEqual([{ outcome: 'decryption-failed' }])
  await rogue.connection.close()
})

describe('a connector that is deregistered', () => {
  test('is cut off within 5 s and never comes back, not even after the servers started anew; others stay', async () => {
    const [gone, kept] = [await world.joinConnector(), await world.joinConnector()]
    const [first, second] = [await openRogue(world.nats.url, gone.home), await openRogue(world.nats.url, kept.home)]
    const { identityId } = await world.addAccount(gone.id)
    const rotationId = await world.rotate(identityId)
    const [job] = (await world.rotation(rotationId)).jobs
    const began = performance.now()
    expect((await world.call('DELETE', `/v1/connectors/${gone.id}`)).status).toBe(202)
    await first.connection.closed()
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(second.connection.isClosed()).toBe(false)
    await expect(openRogue(world.nats.url, gone.home)).rejects.toThrow()
    expect((await world.rotation(rotationId)).jobs).toMatchObject([{ jobId: job?.jobId, state: 'waiting', epoch: 0 }])

    await world.nats.kill()
    await world.nats.start()
    await expect
      .poll(
        () =>
          openRogue(world.nats.url, kept.home).then(
            (rogue) => rogue.connection.close().then(() => true),
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true)
    await expect(openRogue(world.nats.url, gone.home)).rejects.toThrow()
  }, 40_000)

  test('while NATS is down is cut off as soon as it is back', async () => {
    const gone = await world.joinConnector()
    await world.nats.kill()
    expect((await world.call('DELETE', `/v1/connectors/${gone.id}`)).status).toBe(202)
    await world.nats.start()
    await expect
      .poll(
        () =>
          openRogue(world.nats.url, gone.home).then(
            (rogue) => rogue.connection.close().then(() => 'in'),
            () => 'out',
          ),
        { timeout: 20_000, interval: 300 },
      )
      .toBe('out')
  }, 40_000)
})
