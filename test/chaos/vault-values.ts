import { open } from '#secrets/envelope.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createVaultKeys, keyVersionOf } from '#secrets/vault-keys.ts'
import { IdentityId } from '#schemas/ids.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { readHome, readJson, type Home } from '#stack/home.ts'
import { credentialsFile } from '#stack/role-credentials.ts'
import type { Stack } from '#stack/test-stack.ts'
import type { Product } from '../stack/product.ts'

export interface VaultValues {
  /** Every value that the vault ever had for this identity, by its version: those too that are shredded by now. */
  readonly of: (identityId: string) => Promise<ReadonlyMap<number, string>>
}

/** Lets the stack's database remember every sealed value, and opens them as the API would. */
export async function keepValues(stack: Stack, sql: Product['sql']): Promise<VaultValues> {
  await sql(`
    create table kept_value as select identity_id, version, key_id, ciphertext from credential_version where ciphertext is not null;
    create function keep_value() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
      begin insert into kept_value values (new.identity_id, new.version, new.key_id, new.ciphertext); return null; end $$;
    create trigger keep_value after insert on credential_version for each row execute function keep_value()`)
  const { openbao } = readJson<{ openbao: { roleId: string; secretId: string } }>(credentialsFile(readHome(stack.home) as Home, 'api'))
  const keys = createVaultKeys(createOrganizationSecrets(createOpenBao({ url: stack.urls.openbao, ...openbao })))
  return {
    of: async (id) => {
      const { rows } = await sql(
        `select k.version, k.key_id, k.ciphertext, i.account_id as "accountId", i.organization_id as "organizationId", i.vault_id as "vaultId", v.salt as "vaultSalt"
        from kept_value k join identity i on i.id = k.identity_id join vault v on v.id = i.vault_id where k.identity_id = $1`,
        [id],
      )
      const values = new Map<number, string>()
      for (const { version, key_id: keyId, ciphertext, ...vault } of rows) {
        const key = await keys.get({ ...vault, keyVersion: keyVersionOf(keyId) } as VaultKeyRef)
        const value = open(key, { identityId: IdentityId.parse(id), version, purpose: 'credential' }, { encryptionVersion: 2, keyId, ciphertext })
        values.set(version, value.expose())
      }
      return values
    },
  }
}
