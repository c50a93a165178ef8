import type { IdentityId, LeaseId } from '#schemas/ids.ts'
import type { TestDatabase } from './database.ts'

/** A row like `from`, with other values in some columns. */
const like = (table: string, changes: string, from: string) =>
  `insert into ${table} select (jsonb_populate_record(t, jsonb_build_object(${changes}))).* from ${table} t, made m where ${from}`

/** Makes `copies` identities that are held like this one: rows as a checkout leaves them, without 10,000 checkouts. */
export async function copyHeldIdentity(database: TestDatabase, held: { identityId: IdentityId; leaseId: LeaseId }, copies: number): Promise<void> {
  const identity = 't.identity_id = $1'
  const lease = 't.lease_id = $2'
  await database.superuser(
    `with made as materialized (select gen_random_uuid() as identity_id, gen_random_uuid() as lease_id, gen_random_uuid() as exposure_id from generate_series(1, $3)),
    a as (${like('identity', `'id', m.identity_id, 'name', 'copy ' || m.identity_id`, 't.id = $1')}),
    b as (${like('credential_version', `'identity_id', m.identity_id`, identity)}),
    c as (${like('identity_host', `'identity_id', m.identity_id`, identity)}),
    d as (${like('lease', `'id', m.lease_id, 'identity_id', m.identity_id`, 't.id = $2')}),
    e as (${like('lease_term', `'lease_id', m.lease_id`, lease)}),
    f as (${like('exposure', `'id', m.exposure_id, 'lease_id', m.lease_id, 'identity_id', m.identity_id`, lease)})
    ${like('obligation', `'subject_id', m.lease_id`, 't.subject_id = $2')}`,
    [held.identityId, held.leaseId, copies],
  )
}

/** Makes `copies` more holders of one identity, in slots of their own. */
export async function copyHolder(database: TestDatabase, leaseId: LeaseId, copies: number): Promise<void> {
  await database.superuser(
    `with made as materialized (select gen_random_uuid() as lease_id, gen_random_uuid() as exposure_id, slot from generate_series(1, $2) slot),
    d as (${like('lease', `'id', m.lease_id, 'slot', m.slot`, 't.id = $1')}),
    e as (${like('lease_term', `'lease_id', m.lease_id`, 't.lease_id = $1')}),
    f as (${like('exposure', `'id', m.exposure_id, 'lease_id', m.lease_id`, 't.lease_id = $1')})
    ${like('obligation', `'subject_id', m.lease_id`, 't.subject_id = $1')}`,
    [leaseId, copies],
  )
}
