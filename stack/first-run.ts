import { apiClient } from './api-client.ts'
import { joinConnector } from './connector-program.ts'
import { targetAdmin } from './credentials.ts'
import { accessToken } from './login.ts'
import { seedPeople } from './seed-people.ts'
import { seedVaults } from './seed-vaults.ts'
import { ownerUrl, type ServerContext } from './servers.ts'
import { stackUrls } from './urls.ts'

/** People and their logins have no API of their own yet: they are in the database before any role starts. */
export async function seedBeforeRoles(context: ServerContext): Promise<void> {
  if (!context.external.has('postgres')) await seedPeople(ownerUrl(context), stackUrls(context.ports).issuer)
}

/** Makes the seeded vaults and joins the demo connector. A first run that died half way is finished by repeating it. */
export async function firstRun(context: ServerContext): Promise<void> {
  const { home, ports, credentials } = context
  const { superuser: _superuser, admin, ...passwords } = credentials.target
  const mia = apiClient(stackUrls(ports).api, await accessToken({ home: home.path, user: 'mia', acr: 'mfa' }))
  const { joinToken } = await seedVaults(mia, { host: '127.0.0.1', port: ports.target, admin: { username: targetAdmin, password: admin }, passwords })
  await joinConnector(context, joinToken)
}
