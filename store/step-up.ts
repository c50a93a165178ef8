import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { OrganizationId } from '#schemas/ids.ts'
import { stepUpClasses, type ChangeStepUp, type StepUpClass, type StepUpRule } from '#schemas/step-up.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { lockOrganization, readOrganization } from './organization.ts'
import { expectVersion } from './refusals.ts'

/** What the organization asks for itself; kinds that are absent have the default. */
export async function readStepUp(trx: Transaction, id: OrganizationId): Promise<Partial<Record<StepUpClass, StepUpRule>>> {
  const { rows } = await sql<{ class: StepUpClass; acr: string | null; maxAgeSeconds: number | null }>`
    select class, acr, max_age_seconds as "maxAgeSeconds" from step_up_rule where organization_id = ${id}::uuid`.execute(trx)
  return Object.fromEntries(rows.map(({ class: name, ...rule }) => [name, rule]))
}

/**
 * What an organization asks for is a part of it and has its version.
 *
 * @param expectedVersion from If-Match; absent: any
 * @throws LeaseholdError `not-found`, `precondition-failed`
 */
export async function changeStepUp(trx: Transaction, id: OrganizationId, change: ChangeStepUp, actor: Actor, expectedVersion?: number): Promise<void> {
  await lockOrganization(trx, id)
  expectVersion((await readOrganization(trx, id)).version, expectedVersion)
  const named = stepUpClasses.filter((name) => change[name] !== undefined)
  await sql`delete from step_up_rule where organization_id = ${id}::uuid and class = any(${named}::text[])`.execute(trx)
  for (const name of named) {
    const rule = change[name]
    if (rule == null) continue
    await sql`insert into step_up_rule (organization_id, class, acr, max_age_seconds)
      values (${id}::uuid, ${name}::text, ${rule.acr}::text, ${rule.maxAgeSeconds}::int)`.execute(trx)
  }
  await sql`update organization set version = version + 1 where id = ${id}::uuid`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'step_up.changed',
    effect: 'permit',
    outcome: 'success',
    organizationId: id,
    detail: Object.fromEntries(named.map((name) => [name, change[name]])),
  })
}
