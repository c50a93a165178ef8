import { reachable } from '#activities/channels/networks.ts'
import { decisionLinks } from '#activities/channels/decision-links.ts'
import { createSend, type Send } from '#activities/channels/send.ts'
import { Secret } from '#schemas/secret.ts'
import type { AccountKeys } from '#secrets/account-key.ts'
import type { Config } from './config.ts'
import { decisionLinkPurpose, sharedKey } from './shared-key.ts'
import type { StartUp } from './start-up.ts'

/** How this process sends notices: by the mail server of the installation, and by what accounts have configured. */
export function sendingOf({ config, credentials, trust }: Pick<StartUp, 'config' | 'credentials' | 'trust'>, accountKeys: AccountKeys): Send {
  const plainAllowed = config.mode === 'dev'
  return createSend({
    accountKeys,
    plainAllowed,
    reach: { mayReach: reachable(config.notificationNetworks), ca: trust.ca },
    mail: mailOf(config),
    personalWords: decisionLinks(sharedKey(credentials.tenantSalt, decisionLinkPurpose), `${config.apiUrl}/console`),
  })

  function mailOf({ smtpUrl, smtpFrom }: Config) {
    if (smtpUrl === undefined) return undefined
    const { smtp } = credentials
    const login = smtp && { username: smtp.username, password: Secret.of(smtp.password) }
    return { url: smtpUrl, from: smtpFrom, plainAllowed, login }
  }
}
