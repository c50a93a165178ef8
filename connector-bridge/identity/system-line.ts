import type { NatsConnection } from 'nats'
import { z } from 'zod'

/** What the administration of the NATS servers can do for us. */
export interface SystemLine {
  /** Account claims that each server has; empty: none of them has any. */
  readonly lookUp: (account: string) => Promise<string[]>
  /** @throws Error when a server does not take them */
  readonly push: (accountJwt: string) => Promise<void>
  /** Ends every connection of this user on every server. @returns how many there were */
  readonly cut: (account: string, user: string) => Promise<number>
  readonly close: () => Promise<void>
}

/** How long servers that have not answered yet are waited for, ms. */
const gathering = 300
const patience = 2_000

const Update = z.object({ data: z.object({ code: z.number() }).optional(), error: z.unknown().optional() })
const Connections = z.object({
  server: z.object({ id: z.string().regex(/^[A-Z0-9]+$/) }),
  data: z.object({ connections: z.array(z.object({ cid: z.number().int(), authorized_user: z.string().optional() })).nullish() }).optional(),
})

export function createSystemLine(connection: NatsConnection): SystemLine {
  const askAll = async (subject: string, body: string): Promise<string[]> => {
    const answers: string[] = []
    const options = { strategy: 'stall' as const, stall: gathering, maxWait: patience }
    for await (const message of await connection.requestMany(subject, body, options)) answers.push(message.string())
    return answers
  }
  return {
    lookUp: async (account) => (await askAll(`$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`, '')).filter((jwt) => jwt !== ''),
    push: async (accountJwt) => {
      const answers = (await askAll('$SYS.REQ.CLAIMS.UPDATE', accountJwt)).map((text) => Update.parse(JSON.parse(text)))
      if (answers.length === 0 || answers.some(({ data }) => data?.code !== 200)) throw new Error('a NATS server did not take the claims of an account')
    },
    cut: async (account, user) => {
      const query = JSON.stringify({ auth: true, acc: account, limit: 10_000 })
      const servers = (await askAll('$SYS.REQ.SERVER.PING.CONNZ', query)).map((text) => Connections.parse(JSON.parse(text)))
      const found = servers.flatMap(({ server, data }) =>
        (data?.connections ?? []).filter(({ authorized_user }) => authorized_user === user).map(({ cid }) => ({ server: server.id, cid })),
      )
      for (const { server, cid } of found) await connection.request(`$SYS.REQ.SERVER.${server}.KICK`, JSON.stringify({ cid }), { timeout: patience })
      return found.length
    },
    close: () => connection.close(),
  }
}
