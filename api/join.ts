import { fromPublic } from '@nats-io/nkeys'
import type { Actor } from '#schemas/audit-event.ts'
import { JoinRequest } from '#schemas/connector.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { inAccount } from '#store/connection.ts'
import { joinConnector, readJoinToken } from '#store/join-token.ts'
import type { App } from './app.ts'
import { parseJson, readBody, validate } from './body.ts'
import type { Limits } from './limits.ts'
import type { Parts } from './parts.ts'
import { reply } from './route.ts'
import { respond } from './run-route.ts'

/**
 * First contact of a connector: the join token is its only credential. 202 until the bridge has minted its identity, then
 * 200 with all that it needs to connect (schemas/connector-message.ts, JoinAnswer); it repeats the same request meanwhile.
 */
export function joinRoutes(app: App, parts: Parts, limits: Limits): void {
  app.post('/v1/connectors/join', async (context) => {
    const trace = context.get('trace')
    limits.beforeTrial(trace.ip)
    const request = validate(JoinRequest, parseJson(await readBody(context.req.raw)))
    refuseMistyped(request.nkey)
    const joined = await join(request, { kind: 'connector', id: null, ...trace })
    if (joined === undefined) {
      limits.failure(trace.ip)
      throw new LeaseholdError('invalid-join-token')
    }
    parts.wakeLoops()
    const { userJwt, ...ids } = joined
    if (userJwt === null) return respond(reply(202, { ...ids, state: 'joining' }, { 'retry-after': '1' }), trace)
    return respond(reply(200, { ...ids, natsUrl: parts.config.natsUrl, userJwt, signingKeys: await parts.signingKeys() }), trace)
  })

  async function join(request: JoinRequest, actor: Actor): Promise<Awaited<ReturnType<typeof joinConnector>>> {
    const named = readJoinToken(request.token)
    if (named === undefined) return undefined
    const { accountId, connectorId } = named
    return inAccount(parts.db, accountId, async (trx) => {
      try {
        return await joinConnector(trx, connectorId, request, { ...actor, id: connectorId })
      } catch (error) {
        if (error instanceof LeaseholdError && error.code === 'not-found') return undefined
        throw error
      }
    })
  }
}

/** The last two bytes of an NKey are a checksum. */
function refuseMistyped(nkey: string): void {
  try {
    fromPublic(nkey)
  } catch {
    throw new LeaseholdError('validation-failed', { errors: [{ path: 'nkey', message: 'must be the public key of a NATS user' }] })
  }
}
