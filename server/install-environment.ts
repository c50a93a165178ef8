import { z } from 'zod'
import { Environment } from './environment.ts'

const { LEASEHOLD_POSTGRES_URL, LEASEHOLD_OPENBAO_URL, LEASEHOLD_OIDC_ISSUER } = Environment.shape
const checked = (value: string): boolean => value.endsWith('?sslmode=verify-full')

/** Every variable that the installation reads. It is for production: the local stack prepares its servers itself. */
export const InstallEnvironment = z.object({
  LEASEHOLD_POSTGRES_URL: LEASEHOLD_POSTGRES_URL.refine(checked, { error: 'must end in ?sslmode=verify-full' }),
  LEASEHOLD_OPENBAO_URL: LEASEHOLD_OPENBAO_URL.refine((value) => value.startsWith('https:'), { error: 'must begin with https' }),
  LEASEHOLD_OIDC_ISSUER: LEASEHOLD_OIDC_ISSUER.refine((value) => value.startsWith('https:'), { error: 'must begin with https' }),
  LEASEHOLD_CA_FILE: z.string().min(1),
  LEASEHOLD_INSTALL_SECRETS_FILE: z.string().min(1),
  LEASEHOLD_INSTALL_FOLDER: z.string().min(1),
  LEASEHOLD_ACCOUNT_NAME: z.string().min(1).max(200),
  LEASEHOLD_OWNER_SUB: z.string().min(1).max(255),
  LEASEHOLD_OWNER_EMAIL: z.email(),
  LEASEHOLD_OWNER_NAME: z.string().min(1).max(200),
})
export type InstallEnvironment = z.infer<typeof InstallEnvironment>
