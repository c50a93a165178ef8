import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessFacts } from './process.ts'
import type { StackStatus } from './supervisor.ts'

const patience = 30_000

/** @throws Error naming the processes that are left after 30 s */
export async function untilGone({ processes }: StackStatus): Promise<void> {
  const deadline = Date.now() + patience
  const left = (): ProcessFacts[] => processes.filter(({ pid }) => pid !== null && isAlive(pid))
  while (left().length > 0) {
    if (Date.now() > deadline)
      throw new Error(
        `still running after ${patience / 1_000} s: ${left()
          .map(({ name, pid }) => `${name} (${pid})`)
          .join(', ')}`,
      )
    await sleep(50)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
