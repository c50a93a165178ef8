import type { Transit } from '#secrets/transit.ts'
import { mintOperator, mintSystemAccount } from './claims.ts'
import { natsKey, natsKeyNames } from './nats-key.ts'

/** What a NATS server is configured with; every other account is pushed to it. */
export interface OperatorConfiguration {
  /** `operator:` of the server's configuration. */
  readonly operatorJwt: string
  /** `system_account:` */
  readonly systemAccount: string
  /** `resolver_preload:` account key -> JWT */
  readonly resolverPreload: Readonly<Record<string, string>>
}

/** The same keys at every start: made in OpenBao the first time, never seen outside it. */
export async function operatorConfiguration(transit: Transit): Promise<OperatorConfiguration> {
  const operator = await natsKey(transit, natsKeyNames.operator, 'operator')
  const system = await natsKey(transit, natsKeyNames.system, 'account')
  return {
    operatorJwt: await mintOperator(operator, system.publicKey),
    systemAccount: system.publicKey,
    resolverPreload: { [system.publicKey]: await mintSystemAccount(operator, system.publicKey) },
  }
}
