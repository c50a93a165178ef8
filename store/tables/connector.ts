import type { Generated } from 'kysely'
import type { ConnectorId, OrganizationId } from '#schemas/ids.ts'
import type { Id, Account, Time, Moment, Json } from './columns.ts'

/** Connectors and what NATS knows of them: columns of store/migrations. */

export interface ConnectorTable {
  account_id: Account
  id: Id<ConnectorId>
  organization_id: OrganizationId
  name: string
  state: Generated<'pending' | 'joining' | 'active' | 'revoked'>
  nkey: string | null
  encryption_jwk: Json<{ kty: 'OKP'; crv: 'X25519'; x: string; kid: string }> | null
  user_jwt: string | null
  user_jwt_expires_at: Moment
  instance: string | null
  build: string | null
  last_seen_at: Moment
  revoked_at: Moment
  version: Generated<number>
  created_at: Generated<Date>
}
export interface JoinTokenTable {
  account_id: Account
  connector_id: ConnectorId
  hash: Buffer
  expires_at: Time
  used_at: Moment
  used_nkey: string | null
  created_at: Generated<Date>
}
export interface NatsAccountTable {
  account_id: Account
  organization_id: OrganizationId
  public_key: string
  signing_key: string
  jwt: string
  revocations: Json<Record<string, number>>
  revision: Generated<number>
}
