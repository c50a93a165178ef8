import pg from 'pg'
import type { Stack } from '#stack/test-stack.ts'
import type { Login } from './target.ts'

/** Whether the stack's target lets a role in: refused by its password, not by an accident. */
export const postgresLogsIn =
  (stack: Stack) =>
  async ({ username, password }: Login): Promise<boolean> => {
    const { hostname, port } = new URL(stack.urls.target)
    const client = new pg.Client({ host: hostname, port: Number(port), user: username, password, database: 'postgres' })
    client.on('error', () => {})
    return client.connect().then(
      () => client.end().then(() => true),
      (error: { code?: string }) => {
        if (error.code !== '28P01') throw new Error(`the target answers ${error.code ?? 'nothing'}`)
        return false
      },
    )
  }
