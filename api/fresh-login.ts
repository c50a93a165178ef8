import type { AccessToken } from './access-token.ts'
import type { ApiSettings } from './parts.ts'
import { requireLogin } from './step-up.ts'

/** s */
const freshLogin = 300

/**
 * Whoever enrols something for emergencies has just proven who they are: a token that was stolen is not enough to get a credential of
 * one's own.
 *
 * @throws LeaseholdError `insufficient-user-authentication`
 */
export const requireFreshLogin = (config: ApiSettings, token: AccessToken): void =>
  requireLogin({ ...config.stepUp.break_glass, maxAgeSeconds: freshLogin }, token, config)
