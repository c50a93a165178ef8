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
const shortestPause = 500
const longestPause = 30_000

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
      for (let pause = shortestPause; ;) {
        line.signal.throwIfAborted()
        const answer = await ask(subjects.result(connectorId), result, ResultAnswer).catch(() => undefined)
        if (answer !== undefined && !('refused' in answer && answer.refused === 'unavailable')) return answer
        pause = (await rest(line, pause)) ? Math.min(pause * 2, longestPause) : shortestPause
      }
    },
  }
}

/**
 * Waits for so many ms, or for the end of the connection: over another one it is worth asking at once.
 *
 * @returns whether it is the same one still
 */
async function rest({ current, signal }: Line, ms: number): Promise<boolean> {
  const connection = current()
  const isThere = connection !== undefined && !connection.isClosed()
  const waiting = sleep(isThere ? ms : shortestPause, undefined, { signal })
  await (isThere ? Promise.race([waiting, connection.closed()]) : waiting)
  return isThere && !connection.isClosed()
}
