import { randomUUID } from 'node:crypto'
import { Option, type Command } from 'commander'
import type { z } from 'zod'
import type { BreakGlassAnswer, BreakGlassCredential } from '#schemas/break-glass.ts'
import { callApi, withApi, type ApiOptions } from '../api.ts'
import { readSecret } from '../read-secret.ts'

interface OpenOptions extends ApiOptions {
  readonly reason: string
  readonly justification: string
  readonly host?: string
  readonly ticket?: string
  readonly minutes?: string
  readonly output: 'text' | 'json'
}

type Answer = z.infer<typeof BreakGlassAnswer>

/** `leasehold break-glass`: a credential in an emergency, and the passphrase that it takes. */
export function addBreakGlass(program: Command): void {
  const breakGlass = withApi(program.command('break-glass').description('take a credential in an emergency; every admin is told, and somebody reviews it'))
    .argument('<identityId>', 'what is needed')
    .requiredOption('--reason <text>', 'what for')
    .requiredOption('--justification <text>', 'why it cannot wait for the usual way')
    .option('--ticket <id>', 'the case elsewhere, e.g. INC-2042')
    .option('--host <id>', 'a host of the identity')
    .option('--minutes <number>', 'how long; absent: as long as the organization allows')
    .addOption(new Option('-o, --output <format>', 'form of the answer').choices(['text', 'json']).default('text'))
    .action(async (identityId: string, { reason, justification, ticket, host, minutes, output, ...options }: OpenOptions) => {
      const breakGlassCredential = await readSecret('break-glass passphrase: ')
      const body = {
        reason,
        justification,
        breakGlassCredential,
        ...(ticket === undefined ? {} : { ticket }),
        ...(host === undefined ? {} : { hostId: host }),
        ...(minutes === undefined ? {} : { durationMinutes: Number(minutes) }),
      }
      const path = `/v1/identities/${encodeURIComponent(identityId)}/break-glass`
      const answer = await callApi<Answer>(options, 'POST', path, { body, idempotencyKey: randomUUID() })
      process.stdout.write(output === 'json' ? `${JSON.stringify(answer)}\n` : textOf(answer))
    })

  withApi(breakGlass.command('enrol').description('set the passphrase that break-glass asks for, right after a strong login')).action(
    async (options: ApiOptions) => {
      const passphrase = await readSecret('new break-glass passphrase: ')
      const { enrolledAt } = await callApi<z.infer<typeof BreakGlassCredential>>(options, 'PUT', '/v1/me/break-glass-credential', { body: { passphrase } })
      process.stdout.write(`enrolled ${enrolledAt}\n`)
    },
  )
}

function textOf({ lease, credential, alsoPossible, beyondLimit }: Answer): string {
  const values = [...(credential === null ? [] : [credential]), ...alsoPossible].map(
    ({ username, value, label }) => `${label.padEnd(8)} ${username}  ${value}\n`,
  )
  return `lease ${lease.id} until ${lease.expiresAt}${beyondLimit ? ', beside somebody else' : ''}\n${values.join('') || 'this credential is never shown\n'}`
}
