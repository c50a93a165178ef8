import { randomUUID } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Msg, NatsConnection } from 'nats'
import type { Logger } from 'pino'
import { subjects, type Hello, type OfferAnswer } from '#schemas/connector-message.ts'
import type { Adapter } from './adapters/adapter.ts'
import { createAlarms } from './alarms.ts'
import { createAllowList } from './allow-list.ts'
import { keepConnected } from './connection.ts'
import { createControlPlane } from './control-plane.ts'
import { readIdentity, writeIdentity } from './identity-file.ts'
import type { Journal } from './journal.ts'
import { createOfferCheck } from './offer-check.ts'
import { refusePlain } from './trust.ts'
import { createWorker } from './worker.ts'

export interface ConnectorParts {
  readonly home: string
  readonly build: string
  readonly journal: Journal
  readonly adapters: Readonly<Record<string, Adapter>>
  /** Certificate authorities of NATS, PEM; absent: those that come with Node. */
  readonly ca?: string | undefined
  readonly log: Logger
}

export interface RunningConnector {
  readonly instance: string
  /** Takes nothing more, finishes what it has within `limitMs`, disconnects. */
  readonly stop: (limitMs?: number) => Promise<void>
}

const helloEvery = 10_000
/** While no hello was answered yet, ms. */
const helloAgain = 1_000
/** The longest wait of the first hello of a connection for results that are sent again, ms. */
const resultsFirst = 3_000

/**
 * Serves the control plane over one outbound connection: says hello, takes signed offers, does jobs.
 *
 * @throws Error when `home` has no finished join
 */
export function startConnector({ home, build, journal, adapters, ca, log }: ConnectorParts): RunningConnector {
  let identity = readIdentity(home)
  if (identity?.joined == null) throw new Error('this connector has not joined yet')
  refusePlain(identity.joined.natsUrl, 'tls:')
  const { joined, encryptionKey, nkeySeed } = { ...identity, joined: identity.joined }
  const { connectorId } = joined
  const instance = randomUUID()
  const ready = path.join(home, 'ready')
  const end = new AbortController()
  let connection: NatsConnection | undefined
  let clockAhead = 0
  let resending: Promise<void> | undefined
  const controlPlane = createControlPlane(connectorId, { current: () => connection, signal: end.signal })
  const worker = createWorker({
    connectorId,
    instance,
    encryptionKey,
    signingKeys: joined.signingKeys,
    adapters,
    allowList: createAllowList(identity.allow),
    journal,
    controlPlane,
    log,
  })
  const raiseAlarm = createAlarms(controlPlane.alarm)
  const check = createOfferCheck({ keys: joined.signingKeys, connectorId, now: () => Date.now() + clockAhead })

  /** What earlier instances held when they ended, without a result. */
  const left = (): Hello['open'] =>
    journal
      .open()
      .filter((entry) => entry.instance !== instance && entry.result === undefined)
      .slice(0, 1_000)
      .map(({ jobId, epoch, state }) => ({ jobId, epoch, state }))

  async function sayHello(): Promise<void> {
    const open = left()
    const answer = await controlPlane.hello({ v: 1, instance, build, adapters: Object.keys(adapters), open })
    // They know now, and whatever must happen with these jobs comes as a new offer.
    for (const { jobId, epoch, state } of open) {
      // What was only received was perhaps never granted, and then comes again with the same epoch.
      journal.append({ jobId, epoch, instance, state: 'reported', ...(state === 'received' ? { unclaimed: true } : {}) })
    }
    clockAhead = answer.now - Date.now()
    if (answer.userJwt !== undefined && identity?.joined != null) {
      identity = { ...identity, joined: { ...identity.joined, userJwt: answer.userJwt } }
      writeIdentity(home, identity)
    }
  }

  async function answerOffer(message: Msg): Promise<void> {
    const verdict = await check(message.string())
    const answer: OfferAnswer = 'offer' in verdict ? worker.take(verdict.offer) : { v: 1, accepted: false, why: verdict.refused }
    if (!answer.accepted) {
      log.warn({ why: answer.why }, 'offer refused')
      if (answer.why !== undefined) raiseAlarm(answer.why)
    }
    message.respond(JSON.stringify(answer))
  }

  async function serve(opened: NatsConnection): Promise<void> {
    connection = opened
    opened.subscribe(subjects.offer(connectorId), { callback: (error, message) => void (error === null && answerOffer(message)) })
    opened.subscribe(subjects.echo(connectorId), { callback: (error, message) => void (error === null && message.respond(message.data)) })
    // Results first: a hello of a new instance ends whatever an older one still holds.
    resending ??= worker
      .resend()
      .catch(() => {})
      .finally(() => {
        resending = undefined
      })
    await Promise.race([resending, opened.closed(), sleep(resultsFirst, undefined, { signal: end.signal }).catch(() => {})])
    for (
      let greeted = false;
      !opened.isClosed();
      await Promise.race([sleep(greeted ? helloEvery : helloAgain, undefined, { signal: end.signal }).catch(() => {}), opened.closed()])
    ) {
      greeted = await sayHello().then(
        () => true,
        () => greeted,
      )
      if (greeted && !opened.isClosed()) writeFileSync(ready, '')
    }
    if (connection === opened) rmSync(ready, { force: true })
  }

  rmSync(ready, { force: true })
  const connected = keepConnected({
    natsUrl: joined.natsUrl,
    ca,
    inboxPrefix: subjects.inboxPrefix(connectorId),
    nkeySeed,
    userJwt: () => identity?.joined?.userJwt ?? joined.userJwt,
    log,
    signal: end.signal,
    serve,
  })
  return {
    instance,
    stop: async (limitMs = 4_000) => {
      await Promise.race([worker.drain(), sleep(limitMs)])
      end.abort()
      await connected
      rmSync(ready, { force: true })
      journal.close()
    },
  }
}
