import { setTimeout as sleep } from 'node:timers/promises'
import { pointsOf, victims } from './points.ts'
import { giveBack, take, type Aftermath, type Scene } from './scene.ts'
import { away, standAt } from './standstill.ts'
import type { Target } from './target.ts'

/** One way in which something goes wrong while a lease ends and the rotation that it owes runs. */
export interface KillCase {
  readonly name: string
  /** Targets that it exists for; absent: all. */
  readonly fits?: (target: Target) => boolean
  /** Provokes it. @returns what must be in order afterwards */
  readonly provoke: (scene: Scene) => Promise<Aftermath>
}

/** A process dies at a point of its code, at the same instant as others, and each is started again by the supervisor. */
const die = (name: string, process: string, point: string, others: readonly string[] = []): KillCase => ({
  name,
  provoke: (scene) =>
    standAt(scene, process, point, async ({ die }) => {
      await Promise.all([...others.map((other) => scene.stack.kill(other)), die()])
    }),
})

const dieAlone = (process: string, point: string): KillCase => die(`${process} dies at: ${point}`, process, point)

const dieTogether = (process: string, point: string, other: string): KillCase => die(`${process} and ${other} die at: ${point}`, process, point, [other])

/** A process goes on from a point of its code while something that it may need is not there. */
const goOnWithout = (process: string, point: string, other: string): KillCase => ({
  name: `${other} is away at: ${point}`,
  provoke: (scene) => standAt(scene, process, point, ({ goOn }) => away(scene, other, goOn)),
})

/**
 * The instant at which a password is lost that is written down after the change only: the target has answered, and whoever could
 * record it dies: one of them alone, or together with the connector, which stands at that point of its code.
 */
const answered = (others: readonly string[]): KillCase =>
  die(`when the target has answered, ${['connector', ...others].join(', ')} die together`, 'connector', 'job changed', others)

const answeredAlone = (victim: string): KillCase => ({
  name: `when the target has answered, ${victim} dies alone`,
  provoke: (scene) =>
    standAt(scene, 'connector', 'job changed', async ({ die, goOn }) => {
      if (victim === 'connector') return die()
      await scene.stack.kill(victim)
      await goOn()
    }),
})

/** A process stands still for a while, with everything that it holds, and goes on. */
const freeze = (process: string): KillCase => ({
  name: `${process} stands still`,
  provoke: async (scene) => {
    const checkout = await take(scene)
    await scene.stack.kill(process, 'SIGSTOP')
    await giveBack(scene, checkout)
    await sleep(scene.awayMs)
    await scene.stack.kill(process, 'SIGCONT')
    return checkout
  },
})

const points = Object.entries(pointsOf).flatMap(([process, names]) => names.map((point) => ({ process, point })))
const recorders = ['worker-1', 'bridge', 'postgres']

/** Cases of the core: every process at every point of its code, every server, and processes that stand still. */
export const coreCases: readonly KillCase[] = [
  ...points.map(({ process, point }) => dieAlone(process, point)),
  ...['nats', 'openbao', 'postgres', 'temporal'].map((server) => goOnWithout('connector', 'job changed', server)),
  ...['connector', ...recorders].map(answeredAlone),
  ...[...recorders.map((name) => [name]), recorders].map(answered),
  ...['worker-1', 'bridge', 'connector'].map(freeze),
]

/** Every point with everybody else: killed at the same instant, or not there while the one who came to the point goes on. */
export const companionCases: readonly KillCase[] = points.flatMap(({ process, point }) =>
  victims
    .filter((victim) => victim !== process)
    .flatMap((victim) => [dieTogether(process, point, victim), goOnWithout(process, point, victim)])
    .filter(({ name }) => !coreCases.some((known) => known.name === name)),
)
