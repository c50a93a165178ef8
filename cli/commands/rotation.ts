import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Option, type Command } from 'commander'
import type { Rotation } from '#schemas/rotation.ts'
import { callApi, followEvents, readAll, type ApiOptions } from '../api.ts'
import { say, withOutput, type OutputOptions } from '../output.ts'
import { addRotationCampaign } from './rotation-campaign.ts'
import { describeChange, describeRotation, lineOfRotation } from '../rotation-lines.ts'

interface StartOptions extends OutputOptions {
  readonly vaultOnly?: true
  readonly wait?: true
}
interface ListOptions extends OutputOptions {
  readonly state?: string
  readonly identity?: string
  readonly stuck?: true
  readonly needsAttention?: true
}
interface ResolveOptions extends OutputOptions {
  readonly outcome: 'applied' | 'not-applied'
  readonly reason: string
  readonly host?: string
}

/** Between the end of a stream that was cut and the next one, ms. */
const again = 1_000

const pathOf = (id: string, verb = ''): string => `/v1/rotations/${encodeURIComponent(id)}${verb}`

/** `leasehold rotation`: new values for identities, and what they wait for. Who waits for one that fails exits with 1. */
export function addRotation(program: Command): void {
  const rotation = program.command('rotation').description('give identities new values, and see what that waits for')

  withOutput(rotation.command('start').description('give an identity a new value'))
    .argument('<identityId>')
    .option('--vault-only', 'an identity without hosts: a person sets the new value on the target and then says so')
    .option('--wait', 'until it is over, line by line')
    .action(async (identityId: string, { vaultOnly, wait, output, ...options }: StartOptions) => {
      const path = `/v1/identities/${encodeURIComponent(identityId)}/rotate`
      const sent = { body: vaultOnly === undefined ? {} : { vaultOnly }, idempotencyKey: randomUUID() }
      const { rotation: begun } = await callApi<{ rotation: Rotation }>(options, 'POST', path, sent)
      if (wait) await watch(options, begun.id, output)
      else say(output, begun, lineOfRotation(begun))
    })

  withOutput(rotation.command('list').description('rotations, newest first'))
    .addOption(new Option('--state <state>', 'only these').choices(['pending', 'confirmed', 'failed', 'cancelled']))
    .option('--identity <id>', 'only of this identity')
    .option('--stuck', 'only those that have been pending for too long, with what they wait for')
    .option('--needs-attention', 'only those that a person must look at')
    .action(async ({ state, identity, stuck, needsAttention, output, ...options }: ListOptions) => {
      const filter = { state, identityId: identity, stuck: stuck && 'true', needsAttention: needsAttention && 'true' }
      const items = await readAll<Rotation>(options, '/v1/rotations', filter)
      say(output, { items }, items.map(stuck ? describeRotation : lineOfRotation).join(''))
    })

  withOutput(rotation.command('show').description('one rotation with its hosts'))
    .argument('<id>')
    .action(async (id: string, { output, ...options }: OutputOptions) => {
      const { rotation: shown } = await callApi<{ rotation: Rotation }>(options, 'GET', pathOf(id))
      say(output, shown, describeRotation(shown))
    })

  withOutput(rotation.command('watch').description('follow a rotation until it is over, host by host; exits with 1 unless it is confirmed'))
    .argument('<id>')
    .action((id: string, { output, ...options }: OutputOptions) => watch(options, id, output))

  withOutput(rotation.command('resolve').description('say which value works on the target, where nobody else can tell'))
    .argument('<id>')
    .addOption(new Option('--outcome <outcome>', 'whether the new value is the one that works').choices(['applied', 'not-applied']).makeOptionMandatory())
    .requiredOption('--reason <text>', 'how you know')
    .option('--host <id>', 'the host that you looked at; absent: every host in doubt')
    .action(async (id: string, { outcome, reason, host, output, ...options }: ResolveOptions) => {
      const body = { outcome: outcome.replace('-', '_'), reason, ...(host === undefined ? {} : { hostId: host }) }
      const { rotation: resolved } = await callApi<{ rotation: Rotation }>(options, 'POST', pathOf(id, '/resolve'), { body })
      say(output, resolved, describeRotation(resolved))
    })

  addRotationCampaign(rotation)
}

/** A stream that ends too early is opened again: the first event says what is true by then. */
async function watch(options: ApiOptions, id: string, output: OutputOptions['output']): Promise<void> {
  let last: Rotation | undefined
  while (last === undefined || last.state === 'pending') {
    if (last !== undefined) await sleep(again)
    for await (const next of followEvents<Rotation>(options, pathOf(id, '/events'))) {
      say(output, next, describeChange(last, next))
      last = next
    }
  }
  if (last.state !== 'confirmed') process.exitCode = 1
}
