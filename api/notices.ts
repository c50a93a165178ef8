import { z } from 'zod'
import { Uuid } from '#schemas/ids.ts'
import { Notice, NoticeQuery } from '#schemas/notice.ts'
import { pageOf } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import { hasPermission } from '#schemas/rules/access.ts'
import { findNotice, listNotices, type NoticeReader } from '#store/notice-view.ts'
import { readPrincipal } from '#store/principal.ts'
import { pageFrom } from './collection.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: Uuid })

/** Administrators of the whole account see everybody's, others their own. */
const readerOf = (principal: Principal): NoticeReader =>
  hasPermission(principal, 'pam_vaults.manage', null) ? { all: true } : { all: false, userId: principal.userId }

/** What people were told, and how far it came. */
export function noticeRoutes(route: DefineRoute): void {
  route(
    { method: 'get', path: '/v1/notices', action: 'notice.list', summary: 'Notices, newest first', query: NoticeQuery, answers: { 200: pageOf(Notice) } },
    async ({ principal, query, inAccount }) => {
      const { limit: _limit, cursor: _cursor, ...filter } = query
      return reply(200, await inAccount((trx) => listNotices(trx, readerOf(principal), filter, pageFrom(query))))
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/notices/:id',
      action: 'notice.list',
      summary: 'Read a notice',
      params,
      answers: { 200: Notice },
      find: async (trx, { caller, params: { id } }) => {
        const principal = await readPrincipal(trx, caller.userId)
        const notice = principal && (await findNotice(trx, readerOf(principal), id))
        return notice && { organizationId: notice.organizationId, notice }
      },
    },
    ({ found }) => reply(200, found.notice),
  )
}
