import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Check } from '#schemas/check.ts'
import { callApi } from '../api.ts'
import { say, withOutput, type OutputOptions } from '../output.ts'

interface Answer {
  readonly check: Check
}

/** Between two looks, ms. */
const again = 500

/** `leasehold identity`: how stored credentials are. Who checks one that is not in sync on every host exits with 1. */
export function addIdentity(program: Command): void {
  const identity = program.command('identity').description('how stored credentials are')

  withOutput(identity.command('check').description('log in once at each host with the stored value, change nothing, and say what came out'))
    .argument('<identityId>')
    .action(async (identityId: string, { output, ...options }: OutputOptions) => {
      const path = `/v1/identities/${encodeURIComponent(identityId)}/check`
      let { check } = await callApi<Answer>(options, 'POST', path, { body: {}, idempotencyKey: randomUUID() })
      while (check.state === 'pending') {
        await sleep(again)
        ;({ check } = await callApi<Answer>(options, 'GET', path))
      }
      say(output, check, check.hosts.map(lineOf).join(''))
      if (check.hosts.some(({ outcome }) => outcome !== 'in_sync')) process.exitCode = 1
    })
}

const lineOf = ({ hostId, state, outcome, reason }: Check['hosts'][number]): string =>
  `host ${hostId}  ${outcome ?? state}${reason === null ? '' : `  ${reason}`}\n`
