import { text } from 'node:stream/consumers'
import { Option, type Command } from 'commander'
import { AccessRequestState, type AccessRequest } from '#schemas/access-request.ts'
import { callApi, readAll, type ApiOptions } from '../api.ts'
import { oneLine, say, withOutput, type OutputOptions } from '../output.ts'

interface ListOptions extends OutputOptions {
  readonly state?: string
  readonly show?: string
  readonly identity?: string
}
interface DecideOptions extends OutputOptions {
  readonly comment?: string
}

const pathOf = (id: string, verb = ''): string => `/v1/access-requests/${encodeURIComponent(id)}${verb}`

/** `leasehold requests`, `approve` and `deny`: what people ask others to agree to. */
export function addRequests(program: Command): void {
  const requests = program.command('requests').description('access requests: your own, and those that you may decide on')

  withOutput(requests.command('list', { isDefault: true }).description('newest first'))
    .addOption(new Option('--state <state>', 'only these').choices(AccessRequestState.options))
    .addOption(new Option('--show <which>', 'your own, or those that wait for your decision').choices(['own', 'decidable']))
    .option('--identity <id>', 'only for this identity')
    .action(async ({ state, show, identity, output, ...options }: ListOptions) => {
      const items = await readAll<AccessRequest>(options, '/v1/access-requests', { state, show, identityId: identity })
      say(output, { items }, items.map(lineOf).join(''))
    })

  withOutput(requests.command('show').description('one request with its decisions'))
    .argument('<id>')
    .action(async (id: string, { output, ...options }: OutputOptions) => {
      const { accessRequest } = await read(options, id)
      say(output, accessRequest, describe(accessRequest))
    })

  withOutput(requests.command('cancel').description('take a request of yours back'))
    .argument('<id>')
    .action(async (id: string, { output, ...options }: OutputOptions) => {
      const { accessRequest } = await callApi<Answer>(options, 'POST', pathOf(id, '/cancel'), { body: {} })
      say(output, accessRequest, describe(accessRequest))
    })

  withOutput(program.command('decide').description('follow a link of a notification, which is read from stdin: arguments are visible to others'))
    .option('--comment <text>', 'the requester and the other approvers see it')
    .action(async ({ comment, output, ...options }: DecideOptions) => {
      const token = /(?:#decide=)?([\w.-]+)\s*$/.exec(await text(process.stdin))?.[1] ?? ''
      const sent = { body: { token, ...(comment === undefined ? {} : { comment }) } }
      const { accessRequest } = await callApi<Answer>(options, 'POST', '/v1/access-request-links', sent)
      say(output, accessRequest, describe(accessRequest))
    })

  addDecision(program, 'approve', 'let somebody check out what they asked for')
  addDecision(program, 'deny', 'end a request')
}

interface Answer {
  readonly accessRequest: AccessRequest
}

const read = (options: ApiOptions, id: string): Promise<Answer> => callApi<Answer>(options, 'GET', pathOf(id))

/** Reads the request first, says on stderr what is decided on, and decides on that version only. */
function addDecision(program: Command, verdict: 'approve' | 'deny', description: string): void {
  withOutput(program.command(verdict).description(description))
    .argument('<id>', 'id of the access request')
    .option('--comment <text>', 'the requester and the other approvers see it')
    .action(async (id: string, { comment, output, ...options }: DecideOptions) => {
      const seen = (await read(options, id)).accessRequest
      process.stderr.write(describe(seen))
      const sent = { body: { verdict, version: seen.version, ...(comment === undefined ? {} : { comment }) } }
      const { accessRequest } = await callApi<Answer>(options, 'POST', pathOf(id, '/decisions'), sent)
      say(output, accessRequest, lineOf(accessRequest))
    })
}

const lineOf = ({ id, state, requester, identityId, durationMinutes, steps, expiresAt }: AccessRequest): string => {
  const approvals = steps.map(({ given, needed }) => `${given}/${needed}`).join(' ')
  return `${id}  ${state.padEnd(9)}  ${requester.name ?? requester.id}  identity ${identityId}  ${durationMinutes} min  approvals ${approvals}  until ${expiresAt}\n`
}

const describe = (request: AccessRequest): string =>
  [
    lineOf(request),
    `  reason: ${oneLine(request.reason)}${request.ticket === null ? '' : `  ticket: ${request.ticket}`}\n`,
    ...request.decisions.map(
      ({ name, userId, verdict, step, comment, counts }) =>
        `  ${verdict} by ${name ?? userId} in step ${step}${counts ? '' : ' (counts no more)'}${comment === null ? '' : `: ${oneLine(comment)}`}\n`,
    ),
  ].join('')
