import { spawn } from 'node:child_process'
import { InvalidArgumentError, type Command } from 'commander'
import { AuthorizationResponseError, ResponseBodyError } from 'oauth4webapi'
import { cliClient } from '../client.ts'
import { logIn } from '../log-in.ts'
import { apiPlace, issuerPlace } from '../places.ts'
import { forgetLogin, lastLogin, ownKey, storeLogin } from '../stored-login.ts'

interface LoginOptions {
  readonly issuer?: string
  readonly api?: string
  readonly clientId?: string
  readonly acr?: string
  readonly maxAge?: number
  readonly browser: boolean
}

/** `leasehold login` and `leasehold logout`: who works on this machine. */
export function addLogin(program: Command): void {
  program
    .command('login')
    .description('log in with a browser; other commands then work as you')
    .option('--issuer <url>', 'who logs people in; absent: LEASEHOLD_OIDC_ISSUER, the place of the last login, or the stack of this machine')
    .option('--api <url>', 'base URL of the API; absent: LEASEHOLD_API_URL, the place of the last login, or the stack of this machine')
    .option('--client-id <id>', `name of this command at the issuer; absent: ${cliClient}`)
    .option('--acr <level>', 'how strong the login must be, for example mfa')
    .option('--max-age <seconds>', 'how long ago the login may be', wholeSeconds)
    .option('--no-browser', 'print the URL and open nothing')
    .action(async ({ acr, maxAge, browser, ...told }: LoginOptions) => {
      const last = lastLogin()
      const [issuer, api, clientId] = [issuerPlace(told.issuer, last?.issuer), apiPlace(told.api, last?.api), told.clientId ?? last?.clientId ?? cliClient]
      const show = browser ? openBrowser : (url: string) => void process.stdout.write(`${url}\n`)
      const { accessToken, expiresAt, claims } = await logIn({ issuer, clientId, acr, maxAge, dpopKey: await ownKey(), show }).catch(explain)
      storeLogin({ issuer, clientId, api, accessToken, expiresAt: expiresAt?.toISOString() ?? null })
      const until = expiresAt === undefined ? '' : ` until ${expiresAt.toLocaleTimeString()}`
      // What a stronger login is, only the API knows.
      if (acr !== undefined && claims['acr'] !== acr) process.stderr.write(`the issuer answered acr ${printable(claims['acr'] ?? 'unknown')}, not ${acr}\n`)
      process.stderr.write(`logged in as ${printable(claims['name'] ?? claims.sub)}${until}\n`)
    })
  program
    .command('logout')
    .description('forget the login and destroy its key')
    .action(() => forgetLogin())
}

/** @throws Error in words for a person */
function explain(error: unknown): never {
  if (error instanceof AuthorizationResponseError || error instanceof ResponseBodyError) throw new Error(`the issuer refuses: ${printable(error.error)}`)
  if (error instanceof TypeError && error.message === 'fetch failed') throw new Error('the issuer does not answer')
  throw error
}

function wholeSeconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It is a number of seconds.')
  return Number(text)
}

const openers: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
}

/** The URL is printed besides: not every machine has a browser. */
function openBrowser(url: string): void {
  process.stderr.write(`opening ${url}\n`)
  const [command, ...args] = openers[process.platform] ?? ['xdg-open']
  const opener = spawn(command, [...args, url], { stdio: 'ignore', detached: true })
  opener.on('error', () => process.stderr.write('no browser can be opened here: open the address above yourself\n'))
  opener.unref()
}

/** Words from outside must not steer the terminal. */
const printable = (value: unknown): string => String(value).replaceAll(/\p{C}/gu, '').slice(0, 100)
