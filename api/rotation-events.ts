import { setTimeout as pause } from 'node:timers/promises'
import type { Rotation } from '#schemas/rotation.ts'

export interface Watch {
  readonly read: () => Promise<Rotation | undefined>
  /** The stream ends with the caller's access token. */
  readonly until: Date
  /** The client went away, or the process stops. */
  readonly signal: AbortSignal
}

const interval = 300
const heartbeat = 15_000

/** Server-sent events (HTML Living Standard 9.2): `rotation` at every change, until it is final. */
export function rotationEvents(watch: Watch): Response {
  const encoder = new TextEncoder()
  const gone = new AbortController()
  const signal = AbortSignal.any([watch.signal, gone.signal])
  const body = new ReadableStream<Uint8Array>({
    start: async (controller) => {
      try {
        for await (const line of lines({ ...watch, signal })) controller.enqueue(encoder.encode(line))
      } catch {
        // The client reconnects and sees the state that is true then.
      } finally {
        if (!gone.signal.aborted) controller.close()
      }
    },
    cancel: () => gone.abort(),
  })
  return new Response(body, { status: 200, headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' } })
}

async function* lines({ read, until, signal }: Watch): AsyncGenerator<string> {
  let last = ''
  let sentAt = 0
  while (!signal.aborted && Date.now() < until.getTime()) {
    const rotation = await read()
    if (rotation === undefined) return
    const data = JSON.stringify(rotation)
    if (data !== last) yield `event: rotation\nid: ${rotation.version}\ndata: ${data}\n\n`
    else if (Date.now() - sentAt > heartbeat) yield ': still here\n\n'
    if (data !== last || Date.now() - sentAt > heartbeat) sentAt = Date.now()
    last = data
    if (rotation.state !== 'pending') return
    await pause(interval, undefined, { signal }).catch(() => {})
  }
}
