import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Stack } from '#stack/test-stack.ts'
import { giveBack, take, until, type Aftermath, type Scene } from './scene.ts'

/** A process that stands still at a point of its code, with everything that it holds. */
export interface Standstill {
  readonly die: () => Promise<void>
  readonly goOn: () => Promise<void>
}

/**
 * Lets the lease of an account end, and a process stand still where what follows comes to this point of its code.
 *
 * @param during what happens then; it lets the process die or go on
 */
export async function standAt(scene: Scene, process: string, point: string, during: (standstill: Standstill) => Promise<void>): Promise<Aftermath> {
  const { stack } = scene
  const stands = async (): Promise<boolean> => isStill(await pidOf(stack, process))
  /** What was left from before may bring it to the point while it starts: then it never gets ready, and stands there all the same. */
  const arm = async (): Promise<void> => {
    let isOver = false
    const restart = stack.restart(process, point, 'SIGSTOP').finally(() => (isOver = true))
    await Promise.race([restart, until(async () => isOver || (await stands()), `${process} does not start`, 90_000)])
  }
  const there = async (): Promise<void> => {
    await until(stands, `${process} does not come to: ${point}`)
    await during({ die: () => stack.kill(process), goOn: () => stack.kill(process, 'SIGCONT') })
  }
  if (point === 'checkout committed') {
    await arm()
    const [checkout] = await Promise.all([take(scene), there()])
    await giveBack(scene, checkout)
    return checkout
  }
  const checkout = await take(scene)
  await arm()
  await Promise.all([giveBack(scene, checkout), there()])
  return checkout
}

/** A server or process is not there for a while. */
export async function away({ stack, awayMs }: Scene, name: string, meanwhile?: () => Promise<void>): Promise<void> {
  await stack.hold(name, 'SIGKILL')
  await meanwhile?.()
  await sleep(awayMs)
  await stack.restart(name)
}

/** Everything runs again, whatever a case left behind. */
export async function repair(stack: Stack): Promise<void> {
  for (const { name, pid, state } of await stack.processes()) {
    if (isStill(pid)) await stack.kill(name, 'SIGCONT')
    if (state === 'held') await stack.restart(name)
  }
  const down = async (): Promise<string[]> => (await stack.processes()).filter(({ state }) => state !== 'ready').map(({ name }) => name)
  await until(async () => (await down()).length === 0, 'a process does not come back')
}

async function pidOf(stack: Stack, name: string): Promise<number | null> {
  return (await stack.processes()).find((process) => process.name === name)?.pid ?? null
}

const isStill = (pid: number | null): boolean =>
  pid !== null &&
  spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
    .stdout.trim()
    .startsWith('T')
