import type { Adapter } from './adapter.ts'
import { ldapAdapter } from './ldap.ts'
import { mysqlAdapter } from './mysql.ts'
import { postgresAdapter } from './postgres.ts'
import { sshKeyAdapter } from './ssh-key.ts'
import { sshAdapter } from './ssh.ts'

/** Every kind of target, by the name that a host gives it. */
export const adapters: Readonly<Record<string, Adapter>> = {
  postgres: postgresAdapter,
  ssh: sshAdapter,
  'ssh-key': sshKeyAdapter,
  mysql: mysqlAdapter,
  ldap: ldapAdapter,
}
