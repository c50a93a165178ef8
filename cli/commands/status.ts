import { Option, type Command } from 'commander'
import { printStatus } from '#stack/print-status.ts'

/** `leasehold status`: what runs, and where. */
export function addStatus(parent: Command): void {
  parent
    .command('status')
    .description('show the processes and addresses of the stack')
    .addOption(new Option('-o, --output <format>', 'form of the answer').choices(['text', 'json']).default('text'))
    .action(async ({ output }: { output: 'text' | 'json' }) => {
      if (!(await printStatus(output))) process.exitCode = 1
    })
}
