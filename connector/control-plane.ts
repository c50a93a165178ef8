import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from 'nats'
import { z } from 'zod'
import { ClaimAnswer, HelloAnswer, ResultAnswer, subjects, type Alarm, type Hello } from '#schemas/connector-message.ts'
import type { ControlPlane } from './worker.ts'

/** The connection of now; there may be none. */
export interface Line {
  readonly current: () => NatsConnection | undefined
  readonly signal: AbortSignal
}

const patience = 5_000
const retryPause = 500

export interface WholeControlPlane extends ControlPlane {
  readonly hello: (hello: Hello) => Promise<HelloAnswer>
  readonly alarm: (alarm: Alarm) => Promise<void>
}

/** Requests to the control plane over whatever connection there is. */
export function createControlPlane(connectorId: string, line: Line): WholeControlPlane {
  const ask = async <T>(subject: string, body: unknown, answer: z.ZodType<T>): Promise<T> => {
    const connection = line.current()
    if (connection === undefined) throw new Error('not connected')
    const reply = await connection.request(subject, JSON.stringify(body), { timeout: patience })
    return answer.parse(reply.json())
  }
  return {
    alarm: async (alarm) => void (await ask(subjects.alarm(connectorId), alarm, z.strictObject({ v: z.literal(1) }))),
    hello: (hello) => ask(subjects.hello(connectorId), hello, HelloAnswer),
    claim: (request) => ask(subjects.claim(connectorId), request, ClaimAnswer),
    report: async (result) => {
      for (;;) {
        line.signal.throwIfAborted()
        const answer = await ask(subjects.result(connectorId), result, ResultAnswer).catch(() => undefined)
        if (answer !== undefined && !('refused' in answer && answer.refused === 'unavailable')) return answer
        await sleep(retryPause, undefined, { signal: line.signal })
      }
    },
  }
}
