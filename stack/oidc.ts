import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import Provider, { type InteractionResults } from 'oidc-provider'
import { readHome, readJson, type Home } from './home.ts'
import { issuerConfiguration } from './oidc-configuration.ts'
import type { IssuerFile } from './oidc-program.ts'
import { acceptsCode, acceptsPassword, readUser } from './oidc-users.ts'

/** `node stack/oidc.ts HOME`: the OIDC provider of a development stack. Never part of a production installation. */

const largestForm = 4_096

function main(): void {
  const home = readHome(process.argv[2] ?? '')
  if (home === undefined) throw new Error('the argument is the home of a stack')
  const file = readJson<IssuerFile>(home.file('oidc', 'issuer.json'))
  const provider = new Provider(file.issuer, issuerConfiguration(home, file))
  const protocol = provider.callback()
  const server = createServer((request, response) => {
    if (!/^\/interaction\/[\w-]+$/.test(request.url ?? '')) return void protocol(request, response)
    void answerInteraction(provider, home, request, response).catch(() => {
      if (!response.headersSent) response.writeHead(400, { 'content-type': 'text/plain' })
      response.end('this login is over; start again\n')
    })
  })
  server.listen(file.port, '127.0.0.1')
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))
}

async function answerInteraction(provider: Provider, home: Home, request: IncomingMessage, response: ServerResponse): Promise<void> {
  await provider.interactionDetails(request, response)
  if (request.method !== 'POST') return showForm(response, 200)
  const form = new URLSearchParams(await readBody(request))
  const user = readUser(home, form.get('username') ?? '')
  const code = form.get('totp') ?? ''
  if (user === undefined || !acceptsPassword(user, form.get('password') ?? '') || (code !== '' && !acceptsCode(user, code))) return showForm(response, 401)
  const strong = code !== ''
  const login = { accountId: user.sub, acr: strong ? 'mfa' : 'pwd', amr: strong ? ['pwd', 'otp'] : ['pwd'], remember: false }
  await provider.interactionFinished(request, response, { login } satisfies InteractionResults, { mergeWithLastSubmission: false })
}

function showForm(response: ServerResponse, status: 200 | 401): void {
  const nonce = randomBytes(12).toString('base64')
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': `default-src 'none'; style-src 'nonce-${nonce}'; frame-ancestors 'none'`,
  })
  response.end(`<!doctype html><html lang="en"><title>Leasehold: log in</title>
<style nonce="${nonce}">body { font: 1rem/1.5 system-ui; max-width: 20rem; margin: 15vh auto } label, input, button { display: block; width: 100%; margin-top: .5rem }</style>
<h1>Log in</h1>${status === 401 ? '<p role="alert">That did not match.</p>' : ''}
<form method="post"><label>User <input name="username" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<label>One-time code <input name="totp" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9]{6}"></label><button>Log in</button></form></html>`)
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of request.setEncoding('utf8')) {
    text += part as string
    if (text.length > largestForm) throw new Error('the form is too large')
  }
  return text
}

main()
