import { readFile, stat } from 'node:fs/promises'
import { z } from 'zod'
import type { Secret } from '#schemas/secret.ts'

/** Secrets of one role process. A file, because environment and arguments are visible to other processes. */
const CredentialsFile = z.strictObject({
  /** Password per database role that this process uses. */
  postgres: z.record(z.string(), z.string().min(1)),
  openbao: z.strictObject({ roleId: z.string().min(1), secretId: z.string().min(1) }),
  /** Login at the mail server of the installation. */
  smtp: z.strictObject({ username: z.string().min(1), password: z.string().min(1) }).optional(),
  /** base64url, 32 bytes: key material of resource references. The variable TENANT_SALT may give it instead. */
  tenantSalt: z.base64url().optional(),
})
export type Credentials = Omit<z.infer<typeof CredentialsFile>, 'tenantSalt'> & { readonly tenantSalt: string }

/**
 * Reads a role's secrets.
 *
 * @param salt value of TENANT_SALT
 * @throws Error when the file is missing, readable by others, or malformed, or nobody gives a tenant salt; never with a value
 */
export async function readCredentials(file: string, salt?: Secret<string>): Promise<Credentials> {
  const { mode } = await stat(file)
  if ((mode & 0o077) !== 0) throw new Error('the credentials file must be readable by its owner only (0600)')
  const parsed = CredentialsFile.safeParse(parseJson(await readFile(file, 'utf8')))
  if (!parsed.success) throw new Error(`the credentials file is malformed at ${parsed.error.issues.map((issue) => issue.path.join('.')).join(', ')}`)
  const tenantSalt = salt?.expose() ?? parsed.data.tenantSalt
  if (tenantSalt === undefined || Buffer.from(tenantSalt, 'base64url').length < 32)
    throw new Error('TENANT_SALT is missing: at least 32 bytes, here as tenantSalt')
  return { ...parsed.data, tenantSalt }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('the credentials file is not JSON')
  }
}

/** Password of one database role. @throws Error naming the role when the file has none */
export function passwordOf(credentials: Credentials, role: string): string {
  const password = credentials.postgres[role]
  if (password === undefined) throw new Error(`the credentials file has no password of ${role}`)
  return password
}
