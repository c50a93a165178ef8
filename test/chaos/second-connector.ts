import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { join } from '#connector/join.ts'
import { expectStatus } from '#stack/api-client.ts'
import { runConnector } from '../connector-bridge/support.ts'
import type { Scene } from './scene.ts'
import type { Place } from './target.ts'

export interface SecondConnector {
  readonly id: string
  /** The one that the host had before. */
  readonly formerId: string
  readonly stop: () => Promise<void>
  readonly remove: () => void
}

/** Joins another connector, in this process, and gives it a host. */
export async function moveToSecondConnector({ stack, mia }: Scene, { hostId, line }: Place): Promise<SecondConnector> {
  const host = expectStatus(await mia.get<{ organizationId: string; connectorId: string }>(`/v1/hosts/${hostId}`), 200)
  const { id, joinToken } = expectStatus(
    await mia.post<{ id: string; joinToken: string }>('/v1/connectors', { organizationId: host.organizationId, name: `second ${randomUUID()}` }),
    201,
  )
  const home = mkdtempSync(path.join(tmpdir(), 'leasehold-connector-'))
  const remove = (): void => rmSync(home, { recursive: true, force: true })
  try {
    await join({ home, url: stack.urls.api, token: joinToken, allow: [`127.0.0.1:${line?.port}`], patienceMs: 20_000 })
    const { stop } = runConnector(home)
    expectStatus(await mia.patch(`/v1/hosts/${hostId}`, { connectorId: id }), 200)
    return { id, formerId: host.connectorId, stop, remove }
  } catch (error) {
    remove()
    throw error
  }
}
