import { z } from 'zod'
import { rules, type Action } from '#policy/rules.ts'
import { missingLogin } from '#policy/step-up.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { OrganizationId } from '#schemas/ids.ts'
import { ChangeStepUp, StepUp, stepUpClasses, type StepUpClass, type StepUpRule } from '#schemas/step-up.ts'
import type { Transaction } from '#store/connection.ts'
import { readOrganization } from '#store/organization.ts'
import { changeStepUp, readStepUp } from '#store/step-up.ts'
import type { AccessToken } from './access-token.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

const stepUpClassOf = (action: Action): StepUpClass | undefined => (rules[action] as { readonly stepUp?: StepUpClass }).stepUp

interface Judged {
  readonly organizationId?: OrganizationId | null
  /** The organization's rules, where they were read with the rest. */
  readonly ownStepUp?: Partial<Record<StepUpClass, StepUpRule>>
}

/**
 * The rule that an action is held to: the organization's own, else the default. Undefined: any login does.
 * Read in the transaction that finds what the action is done to.
 */
export async function stepUpRuleFor(
  trx: Transaction,
  { stepUp }: Pick<Parts['config'], 'stepUp'>,
  action: Action,
  { organizationId, ownStepUp }: Judged,
): Promise<StepUpRule | undefined> {
  const name = stepUpClassOf(action)
  if (name === undefined) return undefined
  const own = ownStepUp ?? (organizationId == null ? {} : await readStepUp(trx, organizationId))
  return own[name] ?? stepUp[name]
}

/**
 * The same call passes after a login that is strong and fresh enough.
 *
 * @throws LeaseholdError `insufficient-user-authentication` with what the next login must be (RFC 9470)
 */
export function requireLogin(rule: StepUpRule | undefined, token: AccessToken, { acrOrder }: Pick<Parts['config'], 'acrOrder'>): void {
  const missing = rule && missingLogin(rule, token, acrOrder, Math.floor(Date.now() / 1_000))
  if (missing !== undefined) throw new LeaseholdError('insufficient-user-authentication', missing)
}

const params = z.object({ id: OrganizationId })
const find = async (trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) => ({
  organizationId: id,
  organization: await readOrganization(trx, id),
  own: await readStepUp(trx, id),
})

/** Which logins an organization asks for. */
export function stepUpRoutes(route: DefineRoute, { config }: Parts): void {
  const present = (own: Partial<Record<StepUpClass, StepUpRule>>): StepUp =>
    Object.fromEntries(
      stepUpClasses.map((name) => [name, { ...(own[name] ?? config.stepUp[name]), source: own[name] === undefined ? 'default' : 'organization' }]),
    ) as StepUp
  route(
    {
      method: 'get',
      path: '/v1/organizations/:id/step-up',
      action: 'organization.read',
      summary: 'Read which logins the organization asks for',
      params,
      answers: { 200: StepUp },
      versioned: true,
      find,
    },
    ({ found }) => reply(200, present(found.own), etag(found.organization)),
  )
  route(
    {
      method: 'put',
      path: '/v1/organizations/:id/step-up',
      action: 'organization.set-step-up',
      confirms: true,
      summary: 'Ask for stronger or fresher logins',
      params,
      body: ChangeStepUp,
      answers: { 200: StepUp },
      versioned: true,
      find,
    },
    async ({ params: { id }, body, actor, request, inAccount }) => {
      const unknown = stepUpClasses.filter((name) => body[name]?.acr != null && !config.acrOrder.includes(body[name]?.acr ?? ''))
      if (unknown.length > 0) {
        throw new LeaseholdError('validation-failed', {
          errors: unknown.map((name) => ({ path: `${name}.acr`, message: `must be one of ${config.acrOrder.join(', ')}` })),
        })
      }
      const { own, organization } = await inAccount(async (trx) => {
        await changeStepUp(trx, id, body, actor, ifMatch(request))
        return { own: await readStepUp(trx, id), organization: await readOrganization(trx, id) }
      })
      return reply(200, present(own), etag(organization))
    },
  )
}
