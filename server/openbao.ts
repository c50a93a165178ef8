import { createOpenBao, type OpenBao } from '#secrets/openbao.ts'
import type { RoleContext } from './role.ts'

/** OpenBao as this process may use it. */
export const openBaoOf = ({ config, credentials, trust }: Pick<RoleContext, 'config' | 'credentials' | 'trust'>): OpenBao =>
  createOpenBao({ url: config.openbaoUrl, ...credentials.openbao, fetch: trust.fetch, refuseStaticSeal: config.mode === 'production' })
