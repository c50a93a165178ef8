import { Agent, request, type buildConnector } from 'undici'
import { dial, type Reach } from './dial.ts'

/** A receiver has nothing to say to us but a status; what it sends besides is not read. */
const largestHeaders = 8_192

/**
 * Posts JSON over a connection of its own to an address that may be reached. Redirects are answers like any other.
 *
 * @returns the HTTP status
 */
export async function postJson(url: string, headers: Readonly<Record<string, string>>, body: string, reach: Reach, signal: AbortSignal): Promise<number> {
  const agent = new Agent({ pipelining: 0, maxHeaderSize: largestHeaders, connect: connector(reach, signal) })
  try {
    const answer = await request(url, {
      dispatcher: agent,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'Leasehold', ...headers },
      body,
      signal,
    })
    answer.body.on('error', () => {}).destroy()
    return answer.statusCode
  } finally {
    await agent.destroy().catch(() => {})
  }
}

const connector =
  (reach: Reach, signal: AbortSignal): buildConnector.connector =>
  async ({ hostname, port, protocol }, callback) => {
    const tls = protocol === 'https:'
    try {
      callback(null, await dial({ host: hostname, port: Number(port || (tls ? 443 : 80)), tls }, reach, signal))
    } catch (error) {
      callback(error as Error, null)
    }
  }
