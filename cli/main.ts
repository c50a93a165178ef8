import { Command } from 'commander'
import { addBreakGlass } from './commands/break-glass.ts'
import { addDevToken } from './commands/dev-token.ts'
import { addDuties } from './commands/duties.ts'
import { addIdentity } from './commands/identity.ts'
import { addImport } from './commands/import.ts'
import { addLogin } from './commands/login.ts'
import { addRecertification } from './commands/recertification.ts'
import { addRequests } from './commands/requests.ts'
import { addRotation } from './commands/rotation.ts'
import { addStatus } from './commands/status.ts'

/** The `leasehold` command. Each command is one file of commands/; results go to stdout, everything else to stderr. */
const program = new Command('leasehold').description('Privileged access as leases: with a reason, an end and a proof.').showHelpAfterError()
addStatus(program)
addLogin(program)
addDuties(program)
addBreakGlass(program)
addIdentity(program)
addImport(program)
addRecertification(program)
addRequests(program)
addRotation(program)
addDevToken(program.command('dev').description('help for development stacks'))

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'failed'}\n`)
  process.exitCode = 1
})
