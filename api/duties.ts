import { z } from 'zod'
import { Uuid } from '#schemas/ids.ts'
import { Duty, DutyAnswer, DutyKind, DutyQuery, ReconcileAnswer } from '#schemas/duty.ts'
import { pageOf } from '#schemas/page.ts'
import { listDuties, reconcileDuties, retryDuty } from '#store/duty-view.ts'
import { pageFrom } from './collection.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

/** What is still owed to workflows and connectors, and what an operator of the account can do about it. */
export function dutyRoutes(route: DefineRoute, { wakeLoops }: Parts): void {
  route(
    { method: 'get', path: '/v1/duties', action: 'duty.list', summary: 'Duties that are not delivered', query: DutyQuery, answers: { 200: pageOf(Duty) } },
    async ({ query, inAccount }) => reply(200, await inAccount((trx) => listDuties(trx, query, pageFrom(query)))),
  )

  route(
    {
      method: 'post',
      path: '/v1/duties/:kind/:subjectId/retry',
      action: 'duty.retry',
      summary: 'Try a duty again at once; ends its quarantine',
      params: z.object({ kind: DutyKind, subjectId: Uuid }),
      answers: { 200: DutyAnswer },
    },
    async ({ params: { kind, subjectId }, actor, inAccount }) => {
      const duty = await inAccount((trx) => retryDuty(trx, kind, subjectId, actor))
      wakeLoops()
      return reply(200, { duty })
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/duties/reconcile',
      action: 'duty.reconcile',
      summary: 'Tell the workflow of everything that is not final to look once more',
      answers: { 202: ReconcileAnswer },
    },
    async ({ actor, inAccount }) => {
      const reopened = await reconcileDuties(inAccount, actor)
      wakeLoops()
      return reply(202, { reopened })
    },
  )
}
