import { Client, Connection } from '@temporalio/client'
import type { DataConverter } from '@temporalio/common'
import { clientLink, type TemporalAddress } from './temporal-link.ts'

/** How the relay and the schedules talk to Temporal. */
export interface Temporal {
  readonly client: Client
  /**
   * UUID of the namespace; another one after a loss of Temporal's database.
   *
   * @param limit ms to wait for the answer; 5 s when absent
   */
  namespaceId(limit?: number): Promise<string>
  close(): Promise<void>
}

/** @throws Error when Temporal does not answer within 2 s, or not as `address` asks for */
export async function connectTemporal(address: TemporalAddress, namespace: string, dataConverter: DataConverter): Promise<Temporal> {
  const connection = await Connection.connect({ ...clientLink(address), connectTimeout: 2_000 })
  const client = new Client({ connection, namespace, dataConverter })
  return {
    client,
    namespaceId: async (limit = 5_000) => {
      const { namespaceInfo } = await connection.withDeadline(Date.now() + limit, () => connection.workflowService.describeNamespace({ namespace }))
      if (!namespaceInfo?.id) throw new Error('Temporal names no namespace id')
      return namespaceInfo.id
    },
    close: () => connection.close(),
  }
}
