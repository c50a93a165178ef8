import type { Logger } from 'pino'
import type { Db } from '#store/connection.ts'
import { forgetProofs } from '#store/dpop-proof.ts'
import { startLoop, type Loop } from './loop.ts'

const batch = 5_000

/** Drops what has no use any more. @param expirer pool of leasehold_expirer */
export const startHousekeeping = (expirer: Db, log: Logger): Loop =>
  startLoop({ name: 'housekeeping', everyMs: 30_000, log, turn: async () => (await forgetProofs(expirer, batch)) === batch })
