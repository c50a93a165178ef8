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

/** Longest pause after failures, ms, unless the pause between good turns is longer. */
const longestPause = 5_000

const pauseAfter = (failures: number, everyMs: number): number => Math.min(Math.max(longestPause, everyMs), everyMs * 2 ** Math.min(failures, 10))

/**
 * Turns one after the other, never two at once. After failures the pause doubles, up to 5 s or `everyMs`, and news does not shorten it; the
 * first failure and every tenth is logged.
 */
export function startLoop({ name, everyMs, turn, log }: LoopOptions): Loop {
  let running = true
  let failures = 0
  /** News that came during a turn, which may have looked before it came. */
  let news = false
  let endPause = () => {}

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  async function run(): Promise<void> {
    while (running) {
      news = false
      const more = await turn().then(succeeded, failed)
      if (running && !more && !(news && failures === 0)) await pause(pauseAfter(failures, everyMs))
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
    wake: () => {
      news = true
      if (failures === 0) endPause()
    },
    stop: async () => {
      running = false
      endPause()
      await ended
    },
  }
}
