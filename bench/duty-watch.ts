import type pg from 'pg'

/** How far the relay is with the duties of leases. */
export interface DutyWatch {
  /** Returns once this version of the lease's duty was delivered: its workflow was started or told. */
  delivered(leaseId: string, version: number): Promise<void>
  /** Largest number of duties that were owed at once. */
  highestBacklog(): number
  backlog(): Promise<number>
  stop(): void
}

const everyMs = 15

/** One look for all that wait, so that watching costs little. */
export function watchDuties(superuser: pg.Client): DutyWatch {
  const waiting = new Map<string, { readonly version: number; readonly resolve: () => void; readonly reject: (error: unknown) => void }>()
  let highest = 0

  const backlog = async (): Promise<number> => {
    const { rows } = await superuser.query<{ owed: number }>(`select count(*)::int as owed from obligation where kind = 'lease' and delivered < version`)
    return rows[0]?.owed ?? 0
  }
  async function look(): Promise<void> {
    if (waiting.size === 0) return
    const { rows } = await superuser.query<{ subject_id: string; delivered: number }>({
      name: 'delivered',
      text: `select subject_id, delivered from obligation where kind = 'lease' and subject_id = any($1::uuid[])`,
      values: [[...waiting.keys()]],
    })
    for (const { subject_id: id, delivered } of rows) {
      const waiter = waiting.get(id)
      if (waiter === undefined || delivered < waiter.version) continue
      waiting.delete(id)
      waiter.resolve()
    }
    highest = Math.max(highest, await backlog())
  }
  let looking = false
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    look()
      .catch((error: unknown) => {
        for (const { reject } of waiting.values()) reject(error)
        waiting.clear()
      })
      .finally(() => {
        looking = false
      })
  }, everyMs)
  return {
    delivered: (leaseId, version) => new Promise((resolve, reject) => waiting.set(leaseId, { version, resolve, reject })),
    highestBacklog: () => highest,
    backlog,
    stop: () => clearInterval(timer),
  }
}
