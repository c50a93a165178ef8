import { Option, type Command } from 'commander'
import { ItemDecision, RecertificationState, type Recertification, type RecertificationItem } from '#schemas/recertification.ts'
import { callApi, readAll } from '../api.ts'
import { oneLine, say, withOutput, type OutputOptions } from '../output.ts'

interface ListOptions extends OutputOptions {
  readonly state?: string
}
interface ShowOptions extends OutputOptions {
  readonly decision?: string
}
interface DecideOptions extends OutputOptions {
  readonly comment: string
}

const pathOf = (id: string, rest = ''): string => `/v1/recertifications/${encodeURIComponent(id)}${rest}`

/** `leasehold recertification`: who keeps which access. */
export function addRecertification(program: Command): void {
  const recertification = program.command('recertification').description('recertifications: who keeps which access, those that you review')

  withOutput(recertification.command('list', { isDefault: true }).description('newest first'))
    .addOption(new Option('--state <state>', 'only these').choices(RecertificationState.options))
    .action(async ({ state, output, ...options }: ListOptions) => {
      const items = await readAll<Recertification>(options, '/v1/recertifications', { state })
      say(output, { items }, items.map(lineOf).join(''))
    })

  withOutput(recertification.command('show').description('one recertification with its items'))
    .argument('<id>')
    .addOption(new Option('--decision <decision>', 'only items about which this was decided').choices(ItemDecision.options))
    .action(async (id: string, { decision, output, ...options }: ShowOptions) => {
      const found = await callApi<Recertification>(options, 'GET', pathOf(id))
      const items = await readAll<RecertificationItem>(options, pathOf(id, '/items'), { decision })
      say(output, { ...found, items }, [lineOf(found), `  reason: ${oneLine(found.reason)}\n`, ...items.map(itemLineOf)].join(''))
    })

  withOutput(recertification.command('decide').description('keep the access of somebody, or remove it at once and for good'))
    .argument('<id>', 'id of the recertification')
    .argument('<itemId>')
    .argument('<decision>', 'keep or remove')
    .requiredOption('--comment <text>', 'why; 10 to 500 characters, and it stands in the evidence')
    .action(async (id: string, itemId: string, decision: string, { comment, output, ...options }: DecideOptions) => {
      const item = await callApi<RecertificationItem>(options, 'POST', pathOf(id, `/items/${encodeURIComponent(itemId)}/decide`), {
        body: { decision, comment },
      })
      say(output, item, itemLineOf(item))
    })
}

const lineOf = ({ id, state, name, dueAt, onSilence, counts }: Recertification): string => {
  const { open, ...decided } = counts
  const total = open + Object.values(decided).reduce((sum, count) => sum + count, 0)
  return `${id}  ${state.padEnd(9)}  ${oneLine(name)}  open ${open}/${total}  until ${dueAt}, then ${onSilence}\n`
}

const itemLineOf = ({ id, decision, principal, kind, what, level, lastUsedAt, decider, decidedBy, comment }: RecertificationItem): string => {
  const by = decider === null ? '' : ` by ${oneLine(decidedBy?.name ?? decidedBy?.id ?? decider)}`
  const access = kind === 'grant' ? `${level} on ${oneLine(what)}` : `role ${oneLine(what)}`
  const used = lastUsedAt === null ? 'never used' : `used ${lastUsedAt}`
  return `  ${id}  ${decision.padEnd(7)}  ${principal.type} ${oneLine(principal.name)}  ${access}  ${used}${by}${comment === null ? '' : `: ${oneLine(comment)}`}\n`
}
