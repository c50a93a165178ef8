import { Option, type Command } from 'commander'
import { homePath } from '#stack/home.ts'
import { accessToken } from '#stack/login.ts'
import { readDpopKey } from '../dpop-key.ts'

/** `leasehold dev token <user>`: prints an access token of the embedded provider on one line. */
export function addDevToken(parent: Command): void {
  parent
    .command('token')
    .description('log a seeded user in and print an access token')
    .argument('<user>', 'name of the user, for example sam')
    .addOption(new Option('--acr <level>', 'strength of the login').choices(['pwd', 'mfa']).default('pwd'))
    .option('--dpop-key <file>', 'private P-256 JWK that the token is bound to; made when absent')
    .action(async (user: string, { acr, dpopKey }: { acr: 'pwd' | 'mfa'; dpopKey?: string }) => {
      const bound = dpopKey === undefined ? {} : { dpopKey: await readDpopKey(dpopKey) }
      process.stdout.write(`${await accessToken({ home: homePath(), user, acr, ...bound })}\n`)
    })
}
