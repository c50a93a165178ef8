import type { Product } from '../stack/product.ts'
import { insist } from './scene.ts'
import type { Account, Place } from './target.ts'
import type { VaultValues } from './vault-values.ts'

/** How long the API may be too busy to show a value, ms. */
const patience = 10_000

/**
 * Logs in to every host of an account with every value that the vault ever had for it.
 *
 * @returns what is wrong; empty: on each host the version logs in that the vault knows it to have, no other does, and that is the one
 *   which the API shows. So no host has a password that the vault does not know.
 */
export async function loginFaults({ sql, sam }: Product, values: VaultValues, { identityId, username, places }: Account): Promise<string[]> {
  const all = await values.of(identityId)
  const { rows } = await sql(
    `select h.host_id, h.known_version, c.ciphertext is not null as kept from identity_host h
      left join credential_version c on c.identity_id = h.identity_id and c.version = h.known_version where h.identity_id = $1`,
    [identityId],
  )
  const hosts = places.map((place) => ({ place, host: rows.find((row) => row.host_id === place.hostId) ?? rows[0] }))
  const faults = hosts.map(async ({ place, host: { host_id: hostId, known_version: known, kept } }) => {
    const value = all.get(known)
    const url = `/v1/identities/${identityId}/reveal`
    const shown = await insist(() => sam.post<{ value: string }>(url, { reason: 'A test', hostId }), 200, patience).catch((error: Error) => error)
    const isShown = !(shown instanceof Error) && shown.value === value
    return [
      ...(kept ? [] : [`${place.name}: the vault has lost version ${known}`]),
      ...(isShown ? [] : [`${place.name}: what is shown is not version ${known}${shown instanceof Error ? ` (${shown.message})` : ''}`]),
      ...(await wrongLogins(place, username, known, all)),
    ]
  })
  return (await Promise.all(faults)).flat()
}

async function wrongLogins(place: Place, username: string, known: number, all: ReadonlyMap<number, string>): Promise<string[]> {
  const knownLogsIn = (): Promise<boolean> => place.logsIn({ username, password: all.get(known) ?? '' })
  const faults = (await knownLogsIn()) ? [] : [`${place.name}: version ${known}, which the vault knows it to have, does not log in`]
  for (const [version, password] of all) {
    if (version === known) continue
    if (await place.logsIn({ username, password })) faults.push(`${place.name}: version ${version} logs in, and the vault knows of ${known}`)
    // A login that succeeds in between: no host counts our refused ones until it locks the account.
    await knownLogsIn()
  }
  return faults
}
