import type { Logger } from 'pino'

export interface Loop {
  /** Runs the next turn at once instead of after the pause. */
  wake(): void
  /** Lets the running turn end and starts no other. */
  stop(): Promise<void>
}

export interface LoopOptions {
  readonly name: string
  /** Pause between turns, ms. */
  readonly everyMs: number
  /** One turn. @returns whether there is more to do right away */
  readonly turn: () => Promise<boolean>
  readonly log: Logger
}

const longestPause = 10_000

/** Turns one after the other, never two at once. After failures the pause doubles, up to 10 s; the first and every tenth is logged. */
export function startLoop({ name, everyMs, turn, log }: LoopOptions): Loop {
  let running = true
  let failures = 0
  let wake = () => {}

  const pause = (ms: number) => new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    wake = () => {
      clearTimeout(timer)
      resolve()
    }
  })

  async function run(): Promise<void> {
    while (running) {
      const more = await turn().then(succeeded, failed)
      if (running && !more) await pause(Math.min(longestPause, everyMs * 2 ** Math.min(failures, 10)))
    }
  }

  function succeeded(more: boolean): boolean {
    if (failures > 0) log.info({ loop: name, failures }, 'loop works again')
    failures = 0
    return more
  }

  function failed(error: unknown): boolean {
    failures += 1
    if (failures % 10 === 1) log.warn({ loop: name, failures, err: error }, 'loop turn failed')
    return false
  }

  const ended = run()
  return {
    wake: () => wake(),
    stop: async () => {
      running = false
      wake()
      await ended
    },
  }
}
