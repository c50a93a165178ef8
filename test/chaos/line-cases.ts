import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxyMode } from '../support/cut-proxy.ts'
import type { KillCase } from './kill-cases.ts'
import type { Scene } from './scene.ts'
import { standAt } from './standstill.ts'
import type { Target } from './target.ts'

export const hasLines = ({ places }: Target): boolean => places.every(({ line }) => line !== undefined)

export const setLines = async ({ account }: Pick<Scene, 'account'>, mode: ProxyMode): Promise<void> => {
  for (const { line } of account.places) await line?.set(mode)
}

/** The line between connector and target breaks when the connector has come to a point, and is there again after a while. */
const breaks = (name: string, point: string, mode: ProxyMode): KillCase => ({
  name,
  fits: hasLines,
  provoke: (scene) =>
    standAt(scene, 'connector', point, async ({ goOn }) => {
      await setLines(scene, mode)
      await goOn()
      await sleep(scene.awayMs)
      await setLines(scene, 'pass')
    }),
})

/** What the network does: the change never arrives; it arrives and its answer is lost; it is answered, and no login can prove it. */
export const lineCases: readonly KillCase[] = [
  breaks('the line to the target is cut at: job applying', 'job applying', 'closed'),
  breaks('the answers of the target are lost at: job applying', 'job applying', 'mute'),
  breaks('the line to the target is cut at: job applied', 'job applied', 'closed'),
]
