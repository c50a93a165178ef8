import { startGuardian } from '#stack/guardian.ts'
import { oidcProgram } from '#stack/oidc-program.ts'
import { oneTimeCode, readUser } from '#stack/oidc-users.ts'
import { createProcess } from '#stack/process.ts'
import { freePort } from '../support/free-port.ts'
import { openTemporaryHome } from '../support/temporary-home.ts'
import type { TestProvider } from './provider.ts'

/** The provider of a development stack, alone. */
export async function startEmbedded(): Promise<TestProvider> {
  const home = openTemporaryHome()
  const guardian = startGuardian()
  const port = await freePort()
  const server = createProcess(await oidcProgram(home, port), { guardian, logs: home.file('logs'), home: home.path })
  await server.up()
  const user = readUser(home, 'sam')
  if (user === undefined) throw new Error('the provider has no sam')
  return {
    issuer: `http://127.0.0.1:${port}`,
    person: {
      sub: user.sub,
      knows: (strong) => ({ username: user.sub, password: user.password, ...(strong ? { totp: oneTimeCode(user) } : {}) }),
    },
    stop: async () => {
      await server.stop()
      guardian.release()
      await home.remove()
    },
  }
}
