import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { JobId } from '#schemas/ids.ts'
import { Job, JobQuery } from '#schemas/job.ts'
import { pageOf } from '#schemas/page.ts'
import { listJobs, readJobView, type JobView } from '#store/job-view.ts'
import { mapPage, pageFrom } from './collection.ts'
import { reply, type DefineRoute } from './route.ts'

const presentJob = ({ vaultId, ...job }: JobView) => ({ ...job, identityGroupId: vaultId })

/** The Jobs page (S2 "Troubleshooting": rotation stuck in pending). */
export function jobRoutes(route: DefineRoute): void {
  route(
    { method: 'get', path: '/v1/jobs', action: 'job.list', summary: 'Jobs of connectors, newest first', query: JobQuery, answers: { 200: pageOf(Job) } },
    async ({ principal, query, inAccount }) => {
      const { limit: _limit, cursor: _cursor, ...filter } = query
      return reply(200, mapPage(await inAccount((trx) => listJobs(trx, scopeOf(principal, 'job.list'), filter, pageFrom(query))), presentJob))
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/jobs/:id',
      action: 'job.read',
      summary: 'One job',
      params: z.object({ id: JobId }),
      answers: { 200: Job },
      find: async (trx, { params }) => {
        const job = await readJobView(trx, params.id)
        return job && { organizationId: job.organizationId, vaultId: job.vaultId, identityId: job.identityId, job }
      },
    },
    ({ found }) => reply(200, presentJob(found.job)),
  )
}
