import { Option, type Command } from 'commander'
import { DutyKind, DutyState, type Duty } from '#schemas/duty.ts'
import { callApi, readAll, withApi, type ApiOptions } from '../api.ts'

interface ListOptions extends ApiOptions {
  readonly state?: string
  readonly kind?: string
  readonly output: 'text' | 'json'
}

/** `leasehold duties`: what is still owed to workflows and connectors of the account. Needs organizations.manage. */
export function addDuties(program: Command): void {
  const duties = program.command('duties').description('what is still owed to workflows and connectors')

  withApi(duties.command('list').description('show duties that are not delivered'))
    .addOption(new Option('--state <state>', 'only these').choices(DutyState.options))
    .addOption(new Option('--kind <kind>', 'only these').choices(DutyKind.options))
    .addOption(new Option('-o, --output <format>', 'form of the answer').choices(['text', 'json']).default('text'))
    .action(async ({ state, kind, output, ...options }: ListOptions) => {
      const items = await readAll<Duty>(options, '/v1/duties', { state, kind })
      process.stdout.write(output === 'json' ? `${JSON.stringify({ items })}\n` : items.map(lineOf).join(''))
    })

  withApi(duties.command('retry').description('try a duty again at once; ends its quarantine'))
    .argument('<kind>', DutyKind.options.join(', '))
    .argument('<subjectId>', 'id of the lease, rotation, job or connector')
    .action(async (kind: string, subjectId: string, options: ApiOptions) => {
      const path = `/v1/duties/${encodeURIComponent(kind)}/${encodeURIComponent(subjectId)}/retry`
      const { duty } = await callApi<{ duty: Duty }>(options, 'POST', path)
      process.stdout.write(lineOf(duty))
    })

  withApi(duties.command('reconcile').description('tell everything of the account that is not final to look once more')).action(async (options: ApiOptions) => {
    const { reopened } = await callApi<{ reopened: number }>(options, 'POST', '/v1/duties/reconcile')
    process.stdout.write(`${reopened} told to look\n`)
  })
}

const lineOf = ({ kind, subjectId, state, dueSince, attempts, lastError }: Duty): string =>
  `${kind.padEnd(9)} ${subjectId}  ${state.padEnd(11)}  due since ${dueSince}  ${attempts} failures${lastError === null ? '' : `  ${lastError}`}\n`
