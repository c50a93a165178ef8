import type { Adapter } from './adapter.ts'
import { httpAdapter } from './http.ts'
import { ldapAdapter } from './ldap.ts'
import { mysqlAdapter } from './mysql.ts'
import { postgresAdapter } from './postgres.ts'
import { sshKeyAdapter } from './ssh-key.ts'
import { sshAdapter } from './ssh.ts'

/** By the name that a job gives them. */
export const adapters: Readonly<Record<string, Adapter>> = {
  postgres: postgresAdapter,
  ssh: sshAdapter,
  'ssh-key': sshKeyAdapter,
  mysql: mysqlAdapter,
  ldap: ldapAdapter,
  http: httpAdapter,
}
