import type { Msg, NatsConnection } from 'nats'
import type { Logger } from 'pino'
import type { z } from 'zod'
import { Alarm, ClaimRequest, Hello, JobResult, subjects, type HelloAnswer } from '#schemas/connector-message.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { ConnectorId } from '#schemas/ids.ts'
import type { JobMeter } from '#schemas/meters.ts'
import type { Transit } from '#secrets/transit.ts'
import type { VaultKeys } from '#secrets/vault-keys.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { recordHello } from '#store/connector-link.ts'
import type { NatsAccount } from '#store/nats-account.ts'
import type { Connectors } from '../identity/connectors.ts'
import { takeAlarm } from './alarm.ts'
import { answerClaim, type Speaker } from './claim.ts'
import { takeResult } from './result.ts'
import { createTurns } from './turns.ts'

export interface ListenParts {
  readonly db: Db
  readonly vaultKeys: VaultKeys
  readonly transit: Transit
  readonly connectors: Connectors
  readonly log: Logger
  readonly meter?: JobMeter
}

type Handle<T> = (speaker: Speaker, message: T) => Promise<object>

const unavailable = JSON.stringify({ v: 1, refused: 'unavailable' })

/** Answers the connectors of one organization; bridges share the work as a queue group. */
export function listen(parts: ListenParts, connection: NatsConnection, { accountId, organizationId }: NatsAccount): void {
  const sayHello: Handle<Hello> = async (speaker, hello) => {
    const known = await inAccount(parts.db, accountId, (trx) => recordHello(trx, speaker.connectorId, organizationId, hello))
    if (!known) return { v: 1, refused: 'gone' }
    const userJwt = await parts.connectors.renew(accountId, speaker.connectorId)
    return { v: 1, now: Date.now(), ...(userJwt === undefined ? {} : { userJwt }) } satisfies HelloAnswer
  }

  const turns = createTurns(parts.log)

  function serve<T>(subject: string, shape: z.ZodType<T>, handle: Handle<T>): void {
    const answer = async (message: Msg): Promise<void> => {
      const connectorId = ConnectorId.safeParse(message.subject.split('.')[3])
      // An answer goes to the inbox of whoever asked: no connector makes us write to another one's subjects.
      if (!connectorId.success || !message.reply?.startsWith(`${subjects.inboxPrefix(connectorId.data)}.`)) return
      const reply = await turns.take(connectorId.data, async () => {
        const body = shape.safeParse(parse(message))
        return body.success ? handle({ accountId, connectorId: connectorId.data }, body.data) : { v: 1, refused: 'malformed' }
      })
      message.respond(reply === undefined ? unavailable : JSON.stringify(reply))
    }
    connection.subscribe(subject, {
      queue: 'bridge',
      callback: (error, message) => {
        if (error !== null) return
        answer(message).catch((cause: unknown) => {
          if (cause instanceof LeaseholdError && cause.code === 'decryption-failed') parts.meter?.decryptionFailed()
          parts.log.warn({ err: cause, subject: message.subject }, 'a connector could not be answered')
          message.respond(unavailable)
        })
      },
    })
  }

  serve(subjects.hello('*'), Hello, sayHello)
  serve(subjects.claim('*'), ClaimRequest, async (speaker, request) => {
    const answer = await answerClaim(parts, speaker, request)
    if ('refused' in answer) parts.meter?.claimRefused(answer.refused)
    else parts.meter?.claimGranted()
    return answer
  })
  serve(subjects.alarm('*'), Alarm, (speaker, alarm) => takeAlarm(parts, speaker, alarm))
  serve(subjects.result('*'), JobResult, async (speaker, result) => {
    const answer = await takeResult(parts, speaker, result)
    parts.meter?.resultTaken('refused' in answer ? 'altered' : answer.stale ? 'stale' : 'recorded')
    return answer
  })
}

function parse(message: Msg): unknown {
  try {
    return message.json()
  } catch {
    return undefined
  }
}
