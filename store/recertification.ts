import { sql, type RawBuilder } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { OrganizationId, RecertificationId, UserId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { RecertificationFacts } from '#schemas/recertification-facts.ts'
import type { Recertification } from '#schemas/recertification.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { RecertificationState } from '#schemas/states.ts'
import type { Transaction } from './connection.ts'
import { newestFirst } from './newest-first.ts'
import { inScope, type Scope } from './page.ts'

/** A recertification with its reason still sealed. */
export interface RecertificationView extends Pick<Recertification, 'name' | 'onSilence' | 'startedBy' | 'counts'> {
  readonly id: RecertificationId
  readonly organizationId: OrganizationId
  readonly vaultIds: VaultId[] | null
  readonly reviewers: Recertification['reviewers']
  /** Users who may decide by now. */
  readonly people: readonly UserId[]
  readonly state: RecertificationState
  /** Its time is over, whether or not a clock has written that down: nobody decides any more. */
  readonly isDue: boolean
  readonly openedAt: Date
  readonly dueAt: Date
  readonly closedAt: Date | null
  readonly reason: Sealed
}

type Row = Omit<RecertificationView, 'reason'> & { readonly reasonCiphertext: Buffer; readonly reasonKeyId: string }

const recertifications = sql`
  select t.id, t.name, t.organization_id as "organizationId", t.vault_ids as "vaultIds", t.on_silence as "onSilence", t.state,
    t.due_at <= app_clock() as "isDue", t.opened_at as "openedAt", t.due_at as "dueAt", t.closed_at as "closedAt",
    t.reason_ciphertext as "reasonCiphertext", t.reason_key_id as "reasonKeyId", jsonb_build_object('id', s.id, 'name', coalesce(s.name, s.sub)) as "startedBy",
    (select jsonb_agg(jsonb_build_object('type', case when r.idp_user_id is null then 'group' else 'user' end, 'id', coalesce(r.idp_user_id, r.idp_group_id),
        'name', coalesce(d.name, d.email, g.name)) order by r.id)
      from recertification_reviewer r left join idp_user d on d.id = r.idp_user_id left join idp_group g on g.id = r.idp_group_id
      where r.recertification_id = t.id) as reviewers,
    array(select p.user_id from reviewers_of(t.id) p order by 1) as people,
    (select jsonb_build_object('open', count(*) filter (where i.state = 'open'), 'keep', count(*) filter (where i.state = 'keep'),
        'remove', count(*) filter (where i.state = 'remove'), 'refused', count(*) filter (where i.state = 'refused'),
        'gone', count(*) filter (where i.state = 'gone'))
      from recertification_item i where i.recertification_id = t.id) as counts
  from recertification t join account_user s on s.id = t.started_by`

async function select(trx: Transaction, where: RawBuilder<unknown>): Promise<RecertificationView[]> {
  const { rows } = await sql<Row>`${recertifications} where ${where}`.execute(trx)
  return rows.map(({ reasonCiphertext: ciphertext, reasonKeyId: keyId, ...row }) => ({ ...row, reason: { encryptionVersion: 2, keyId, ciphertext } }))
}

/** @throws LeaseholdError `not-found` */
export async function readRecertification(trx: Transaction, id: RecertificationId): Promise<RecertificationView> {
  const [found] = await select(trx, sql`t.id = ${id}::uuid`)
  if (found === undefined) throw new LeaseholdError('not-found')
  return found
}

const locks = { decide: sql`for key share`, change: sql`for no key update`, close: sql`for update` }

/**
 * Takes the lock by a statement of its own and reads behind it. Decisions stand beside each other; whoever closes it waits for them, and
 * makes later ones wait.
 *
 * @throws LeaseholdError `not-found`
 */
export async function lockRecertification(trx: Transaction, id: RecertificationId, to: keyof typeof locks): Promise<RecertificationView> {
  await sql`select from recertification where id = ${id}::uuid ${locks[to]}`.execute(trx)
  return readRecertification(trx, id)
}

export interface RecertificationFilter {
  readonly state?: RecertificationState | undefined
  readonly organizationId?: OrganizationId | undefined
}

/** Those of the scope, and those that the caller reviews. Newest first. */
export async function listRecertifications(
  trx: Transaction,
  scope: Scope,
  caller: UserId,
  { state, organizationId }: RecertificationFilter,
  page: PageRequest,
): Promise<Page<RecertificationView>> {
  const found = await select(
    trx,
    sql`(${inScope(scope, sql`t.organization_id`)} or exists (select from reviewers_of(t.id) p where p.user_id = ${caller}::uuid))
    and (${state ?? null}::text is null or t.state = ${state ?? null}::text)
    and (${organizationId ?? null}::uuid is null or t.organization_id = ${organizationId ?? null}::uuid)
    ${newestFirst('recertification', 'opened_at', page)}`,
  )
  return toPage(found, page.limit)
}

/** @returns undefined: there is none with this id */
export async function readRecertificationFacts(trx: Transaction, id: RecertificationId): Promise<RecertificationFacts | undefined> {
  const { rows } = await sql<RecertificationFacts>`
    with clock as materialized (select app_clock() as now)
    select id as "recertificationId", state, greatest(0, ceil(extract(epoch from due_at - now) * 1000))::float8 as "remainingMs",
      case when remind_at is not null then greatest(0, ceil(extract(epoch from remind_at - now) * 1000))::float8 end as "reminderInMs"
    from recertification, clock where id = ${id}::uuid`.execute(trx)
  return rows[0]
}
