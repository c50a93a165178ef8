import { condition, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow'

/** The least that a workflow can be: what Temporal itself costs, without anything of ours. */

export const leave = defineSignal('leave')
export const ask = defineUpdate<string>('ask')

/** Answers one question and stays until it is told to leave. */
export async function bare(): Promise<void> {
  let left = false
  setHandler(leave, () => {
    left = true
  })
  setHandler(ask, () => 'granted')
  await condition(() => left)
}
