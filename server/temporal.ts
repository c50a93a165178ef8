import { Client, Connection } from '@temporalio/client'
import type { DataConverter } from '@temporalio/common'
import type { Config } from './config.ts'

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

/** @throws Error when Temporal does not answer within 2 s */
export async function connectTemporal(config: Config, dataConverter: DataConverter): Promise<Temporal> {
  const connection = await Connection.connect({ address: config.temporalAddress, connectTimeout: 2_000 })
  const namespace = config.temporalNamespace
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
