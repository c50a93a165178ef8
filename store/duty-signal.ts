import pg from 'pg'
import { clientOptions } from './address.ts'
import type { ConnectionOptions } from './connection.ts'

export interface DutySignal {
  /** Ends at the next notification, or after `limit` ms: a lost notification only costs time. */
  readonly wait: (limit: number) => Promise<void>
  readonly close: () => Promise<void>
}

const pause = 2_000

/** Hears the notification that `notifyDuties` sends, over a connection of its own that is made anew when it breaks. */
export function listenForDuties(login: Omit<ConnectionOptions, 'max'>): DutySignal {
  let client: pg.Client | undefined
  let closed = false
  let raised = false
  let wake: (() => void) | undefined
  const raise = (): void => {
    raised = true
    wake?.()
  }

  async function connect(): Promise<void> {
    const name = `${login.user} listening`
    const next = new pg.Client({ ...clientOptions(login, login), connectionTimeoutMillis: 1_500, application_name: name, keepAlive: true })
    next
      .on('error', () => {})
      .on('notification', raise)
      .once('end', again)
    client = next
    await next.connect().then(
      () => next.query('listen duties'),
      () => {},
    )
  }

  function again(): void {
    if (!closed) setTimeout(() => void (closed || connect().catch(() => {})), pause).unref()
  }

  void connect().catch(() => {})
  return {
    wait: (limit) =>
      new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer)
          wake = undefined
          raised = false
          resolve()
        }
        const timer = setTimeout(done, limit)
        wake = done
        if (raised) done()
      }),
    close: async () => {
      closed = true
      wake?.()
      await client?.end().catch(() => {})
    },
  }
}
