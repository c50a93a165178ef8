import { askSupervisor } from './control.ts'
import type { Home } from './home.ts'
import type { StackStatus } from './supervisor.ts'

/** @throws Error when no stack runs in this home */
export async function readStatus(home: Home | undefined): Promise<StackStatus> {
  if (home === undefined) throw new Error('no stack was started in this home')
  return askSupervisor(home, { do: 'status' }).catch(() => {
    throw new Error('no stack is running in this home')
  })
}
