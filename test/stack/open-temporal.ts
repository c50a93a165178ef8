import { Client, Connection } from '@temporalio/client'
import { createDataConverter } from '#secrets/data-converter.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { readHome, readJson, type Home } from '#stack/home.ts'
import { credentialsFile } from '#stack/role-credentials.ts'
import type { Stack } from '#stack/test-stack.ts'

/** Temporal of a stack as its worker sees it: payloads are opened with the worker's key. The caller closes the connection. */
export async function openTemporal(stack: Stack): Promise<{ readonly client: Client; readonly close: () => Promise<void> }> {
  const { openbao } = readJson<{ openbao: { roleId: string; secretId: string } }>(credentialsFile(readHome(stack.home) as Home, 'worker'))
  const dataConverter = await createDataConverter(createOpenBao({ url: stack.urls.openbao, ...openbao }))
  const connection = await Connection.connect({ address: stack.urls.temporal })
  return { client: new Client({ connection, namespace: 'leasehold', dataConverter }), close: () => connection.close() }
}
