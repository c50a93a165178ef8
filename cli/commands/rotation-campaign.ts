import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import type { Identity } from '#schemas/identity.ts'
import type { RotationCampaign, RotationCampaignItem } from '#schemas/rotation-campaign.ts'
import type { Vault } from '#schemas/vault.ts'
import { callApi, readAll, type ApiOptions } from '../api.ts'
import { say, withOutput, type OutputOptions } from '../output.ts'
import { waitOf } from '../rotation-lines.ts'

interface StartOptions extends OutputOptions {
  readonly vault?: readonly string[]
  readonly identity?: readonly string[]
  readonly reason: string
  readonly atOnce?: number
}

const path = '/v1/rotation-campaigns'
const pathOf = (id: string, rest = ''): string => `${path}/${encodeURIComponent(id)}${rest}`

const verbs = {
  pause: 'begin no more rotations until it is resumed',
  resume: 'go on with a campaign that is paused',
  abort: 'begin no more rotations; those under way go on to their end',
} as const

/** `leasehold rotation campaign`: everything of a vault rotated after an incident, a few identities at a time. */
export function addRotationCampaign(rotation: Command): void {
  const campaign = rotation.command('campaign').description('rotate whole vaults, or many identities, a few at a time')

  withOutput(campaign.command('start').description('begin one: over vaults, or over identities'))
    .option('--vault <name...>', 'name or id of each vault')
    .option('--identity <id...>', 'id of each identity')
    .requiredOption('--reason <text>', 'why')
    .option('--at-once <count>', 'how many identities are rotating at the same time (1-50, default 10)', Number)
    .action(async ({ vault = [], identity = [], reason, atOnce, output, ...options }: StartOptions) => {
      const named = await namesOf(options, vault, identity)
      const sent = { body: { ...named, reason, ...(atOnce === undefined ? {} : { atOnce }) }, idempotencyKey: randomUUID() }
      const begun = await callApi<RotationCampaign>(options, 'POST', path, sent)
      say(output, begun, lineOf(begun))
    })

  withOutput(campaign.command('list').description('campaigns, newest first')).action(async ({ output, ...options }: OutputOptions) => {
    const items = await readAll<RotationCampaign>(options, path, {})
    say(output, { items }, items.map(lineOf).join(''))
  })

  withOutput(campaign.command('show').description('one campaign, with every identity that is not confirmed and what it waits for'))
    .argument('<id>')
    .action(async (id: string, { output, ...options }: OutputOptions) => {
      const shown = await callApi<RotationCampaign>(options, 'GET', pathOf(id))
      const items = await readAll<RotationCampaignItem>(options, pathOf(id, '/items'), {})
      const open = items.filter(({ state }) => state !== 'confirmed')
      say(output, { ...shown, items }, [lineOf(shown), ...open.map((item) => `  ${lineOfItem(item)}\n`)].join(''))
    })

  for (const [verb, description] of Object.entries(verbs)) {
    withOutput(campaign.command(verb).description(description))
      .argument('<id>')
      .action(async (id: string, { output, ...options }: OutputOptions) => {
        const changed = await callApi<RotationCampaign>(options, 'POST', pathOf(id, `/${verb}`), { body: {} })
        say(output, changed, lineOf(changed))
      })
  }
}

/** @throws Error when a vault is not there, when its name is that of several, or when nothing is named */
async function namesOf(options: ApiOptions, vaults: readonly string[], identityIds: readonly string[]) {
  if ((vaults.length === 0) === (identityIds.length === 0)) throw new Error('name vaults with --vault, or identities with --identity')
  const [first = ''] = identityIds
  if (first !== '') {
    const { organizationId } = await callApi<Identity>(options, 'GET', `/v1/identities/${encodeURIComponent(first)}`)
    return { organizationId, identityIds }
  }
  const all = await readAll<Vault>(options, '/v1/identity-groups', {})
  const found = vaults.map((name) => {
    const [vault, another] = all.filter((one) => one.id === name || one.name === name)
    if (vault === undefined) throw new Error(`there is no vault ${name} that you may see`)
    if (another !== undefined) throw new Error(`several vaults are named ${name}: say which by its id`)
    return vault
  })
  return { organizationId: found[0]?.organizationId, vaultIds: found.map(({ id }) => id) }
}

const lineOf = ({ id, state, counts, startedBy, startedAt }: RotationCampaign): string =>
  `${id}  ${state.padEnd(9)}  ${Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join('  ')}  by ${startedBy.name ?? startedBy.id}  since ${startedAt}\n`

const lineOfItem = ({ identityId, state, rotationId, reason, waitsFor }: RotationCampaignItem): string =>
  [
    `identity ${identityId}`,
    state,
    ...(reason === null ? [] : [reason]),
    ...(rotationId === null ? [] : [`rotation ${rotationId}`]),
    ...waitsFor.map(waitOf),
  ].join('  ')
