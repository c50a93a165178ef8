import { condition, continueAsNew, defineSignal, setHandler, workflowInfo } from '@temporalio/workflow'
import { pokeSignal, type Poke } from './messages.ts'

const poke = defineSignal<[Poke]>(pokeSignal)
/** A loop waits for at most a day, so that no run is older than 7 days. */
const longestRun = 6 * 86_400_000

/** News for the one main loop of a workflow: handlers only count, the loop looks. */
export interface News {
  /** Waits for a poke that came after the last look, at most `ms`. */
  readonly wait: (ms: number) => Promise<void>
  /** Something happened in the workflow itself: to be looked at like a poke. */
  readonly add: () => void
  /** To be called right before a look: what came until now is covered by it. */
  readonly cover: () => void
}

export function listenForPokes(): News {
  let pokes = 0
  let covered = 0
  const add = () => {
    pokes += 1
  }
  setHandler(poke, add)
  return {
    add,
    cover: () => {
      covered = pokes
    },
    wait: async (ms) => {
      await condition(() => pokes > covered, ms)
    },
  }
}

/** Starts a fresh history with the same arguments when this one has grown long or old. All state is in PostgreSQL. */
export async function renewWhenLong<Arguments extends unknown[]>(...args: Arguments): Promise<void> {
  const info = workflowInfo()
  if (info.continueAsNewSuggested || Date.now() - info.runStartTime.getTime() > longestRun) {
    await continueAsNew<(...inputs: Arguments) => Promise<unknown>>(...args)
  }
}
