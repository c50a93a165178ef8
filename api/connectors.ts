import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { ChangeConnector, Connector, CreateConnector, CreatedConnector, JoinToken } from '#schemas/connector.ts'
import { ConnectorId, OrganizationId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import type { Transaction } from '#store/connection.ts'
import { changeConnector, createConnector, listConnectors, readConnector, revokeConnector } from '#store/connector.ts'
import { issueJoinToken } from '#store/join-token.ts'
import { readOrganization } from '#store/organization.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: ConnectorId })

async function find(trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) {
  const connector = await readConnector(trx, id)
  return { organizationId: connector.organizationId, connector }
}

/** Our agents in private networks (S0 "Zero-Trust Connector Model"). */
export function connectorRoutes(route: DefineRoute, { wakeLoops }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/connectors',
      action: 'connector.create',
      confirms: true,
      summary: 'Register a connector; the answer holds its join token',
      body: CreateConnector,
      answers: { 201: CreatedConnector },
      refuses: ['already-exists', 'connector-revoked'],
      versioned: true,
      idempotent: true,
      find: async (trx, { body }) => ({ organizationId: (await readOrganization(trx, body.organizationId)).id }),
    },
    async (context) => {
      const {
        principal: { accountId },
        actor,
      } = context
      const withToken = async (trx: Transaction, id: ConnectorId): Promise<CreatedConnector> => {
        const token = await issueJoinToken(trx, accountId, id, actor)
        return { ...(await readConnector(trx, id)), ...token }
      }
      const connector = await createOnce<CreatedConnector>(context, {
        make: async (trx, id) => withToken(trx, (await createConnector(trx, ConnectorId.parse(id), context.body, actor)).id),
        // No token is stored: whoever lost the answer gets another one, as long as nobody has joined.
        read: async (trx, id) => {
          const made = await readConnector(trx, ConnectorId.parse(id))
          return made.state === 'pending' ? withToken(trx, made.id) : { ...made, joinToken: null, joinTokenExpiresAt: null }
        },
      })
      return reply(201, connector, { ...etag(connector), location: `/v1/connectors/${connector.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/connectors',
      action: 'connector.list',
      summary: 'List connectors, revoked ones too',
      query: PageQuery.extend({ organizationId: OrganizationId.optional() }),
      answers: { 200: pageOf(Connector) },
    },
    async ({ principal, query, inAccount }) =>
      reply(200, await inAccount((trx) => listConnectors(trx, scopeOf(principal, 'connector.list'), query.organizationId ?? null, pageFrom(query)))),
  )
  route(
    {
      method: 'get',
      path: '/v1/connectors/:id',
      action: 'connector.read',
      summary: 'Read a connector',
      params,
      answers: { 200: Connector },
      versioned: true,
      find,
    },
    ({ found }) => reply(200, found.connector, etag(found.connector)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/connectors/:id',
      action: 'connector.update',
      confirms: true,
      summary: 'Rename a connector',
      params,
      body: ChangeConnector,
      answers: { 200: Connector },
      refuses: ['already-exists'],
      versioned: true,
      find,
    },
    async ({ params: { id }, body, actor, request, inAccount }) => {
      const connector = await inAccount((trx) => changeConnector(trx, id, body, actor, ifMatch(request)))
      return reply(200, connector, etag(connector))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/connectors/:id',
      action: 'connector.delete',
      summary: 'Deregister a connector: it is cut off and cannot come back',
      params,
      answers: { 202: Connector },
      versioned: true,
      find,
    },
    async ({ params: { id }, actor, request, inAccount }) => {
      const connector = await inAccount((trx) => revokeConnector(trx, id, actor, ifMatch(request)))
      wakeLoops()
      return reply(202, connector, { ...etag(connector), location: `/v1/connectors/${id}` })
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/connectors/:id/join-tokens',
      action: 'connector.update',
      confirms: true,
      summary: 'Make a new join token; older ones end',
      params,
      body: z.strictObject({}),
      answers: { 201: JoinToken },
      refuses: ['connector-revoked'],
      idempotent: true,
      find,
    },
    async (context) => {
      const {
        params: { id },
        principal: { accountId },
        actor,
      } = context
      const issue = (trx: Transaction): Promise<JoinToken> => issueJoinToken(trx, accountId, id, actor)
      return reply(201, await createOnce(context, { id, make: issue, read: issue }))
    },
  )
}
