import { chmodSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { calculateJwkThumbprint, decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { apiClient } from '#stack/api-client.ts'
import { readHome, type Home } from '#stack/home.ts'
import { oneTimeCode, readUser } from '#stack/oidc-users.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { startIssuer } from '../api/issuer.ts'
import { openBrowser, type Browser } from '../support/browser.ts'
import { leasehold, printedUrl, startLeasehold, type Ended } from './leasehold.ts'

let stack: Stack
let folder: string
let env: Record<string, string>
let browser: Browser
beforeAll(async () => {
  // The API asks for its nonce in every proof, as in production.
  stack = await startStack({ roleEnvironment: { LEASEHOLD_DPOP_NONCE: 'required' } })
}, 120_000)
afterAll(() => stack?.stop())
beforeEach(() => {
  folder = path.join(mkdtempSync(path.join(os.tmpdir(), 'leasehold-person-')), 'config')
  env = { LEASEHOLD_HOME: stack.home, LEASEHOLD_CONFIG_HOME: folder }
  browser = openBrowser()
})

const file = (name: string): string => path.join(folder, name)
const stored = (): { accessToken: string; api: string } => JSON.parse(readFileSync(file('login.json'), 'utf8'))
const run = (...args: string[]): Promise<Ended> => leasehold(env, ...args)

/** What `name` types; the one-time code only where it is meant to be a strong login. */
function knows(name: string, strong: boolean): Record<string, string> {
  const user = readUser(readHome(stack.home) as Home, name) ?? expect.unreachable()
  return { username: user.sub, password: user.password, ...(strong ? { totp: oneTimeCode(user) } : {}) }
}

/** `leasehold login`, and the same person at a browser. @param change what happens to the URL on the way there */
async function logIn(name: string, args: readonly string[] = [], change: (url: URL) => void = () => {}): Promise<{ code: number | string; output: string }> {
  const login = startLeasehold(env, 'login', '--no-browser', ...args)
  const url = new URL(await printedUrl(login))
  change(url)
  await browser.visit(url.href, knows(name, args.includes('mfa')))
  return { code: await login.ended, output: login.output() }
}

describe('leasehold login', () => {
  test('lets other commands work as the person, with a token that is worth nothing without the key beside it', async () => {
    const { code, output } = await logIn('ola')
    expect(code).toBe(0)
    expect(output).toMatch(/^http:\S+\nlogged in as Ola Admin until \S+.*\n$/)
    expect([folder, file('login.json'), file('dpop-key.json')].map((place) => statSync(place).mode & 0o777)).toEqual([0o700, 0o600, 0o600])
    expect(await run('duties', 'list', '-o', 'json')).toMatchObject({ code: 0, out: expect.stringMatching(/^\{"items":/) })
    const jkt = await calculateJwkThumbprint(JSON.parse(readFileSync(file('dpop-key.json'), 'utf8')))
    const asked = Object.fromEntries(new URL(output.split('\n')[0] ?? '').searchParams)
    expect(asked).toMatchObject({ response_type: 'code', code_challenge_method: 'S256', dpop_jkt: jkt, state: expect.any(String), nonce: expect.any(String) })
    const { accessToken } = stored()
    expect(decodeJwt(accessToken)).toMatchObject({ sub: 'ola', acr: 'pwd', cnf: { jkt } })
    expect((await apiClient(stack.urls.api, accessToken).get('/v1/me')).status).toBe(401)
  })

  test('a call that needs a stronger login says what to run, and works after it', async () => {
    await logIn('ola')
    const refused = await run('duties', 'reconcile')
    expect(refused).toEqual({ code: 1, out: '', err: '401 A stronger or fresher login is needed. Run: leasehold login --acr mfa\n' })
    expect((await logIn('ola', ['--acr', 'mfa'])).code).toBe(0)
    expect(await run('duties', 'reconcile')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+ told to look\n$/) })
  })

  test('with --max-age asks for the password again', async () => {
    await logIn('ola')
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    const before = decodeJwt(stored().accessToken)['auth_time'] as number
    expect((await logIn('ola', ['--max-age', '1'])).code).toBe(0)
    expect(decodeJwt(stored().accessToken)['auth_time']).toBeGreaterThan(before)
    expect((await run('login', '--max-age', 'soon')).code).toBe(1)
  })

  test('remembers where it was, so that the next one needs no addresses', async () => {
    env = { LEASEHOLD_HOME: folder, LEASEHOLD_CONFIG_HOME: folder }
    expect(await run('login')).toEqual({ code: 1, out: '', err: expect.stringMatching(/^say who logs people in/) })
    expect((await logIn('ola', ['--issuer', stack.urls.issuer, '--api', `${stack.urls.api}/`])).code).toBe(0)
    expect((await logIn('ola', ['--acr', 'mfa'])).code).toBe(0)
    expect((await run('duties', 'reconcile')).code).toBe(0)
  })

  test('says so when the issuer answers a weaker login than was asked for', async () => {
    const login = startLeasehold(env, 'login', '--no-browser', '--acr', 'mfa')
    const url = new URL(await printedUrl(login))
    url.searchParams.set('acr_values', 'pwd')
    await browser.visit(url.href, knows('ola', false))
    expect([await login.ended, login.output()]).toEqual([0, expect.stringContaining('the issuer answered acr pwd, not mfa\nlogged in as Ola Admin')])
  })

  test('opens the browser of the desktop, and says so where there is none', async () => {
    const programs = mkdtempSync(path.join(os.tmpdir(), 'leasehold-programs-'))
    const opened = path.join(programs, 'opened')
    writeFileSync(path.join(programs, 'xdg-open'), `#!/bin/sh\necho "$1" > '${opened}'\n`, { mode: 0o755 })
    const login = startLeasehold({ ...env, PATH: `${programs}:/usr/bin:/bin` }, 'login')
    await expect.poll(() => existsSync(opened) && readFileSync(opened, 'utf8').endsWith('\n'), { timeout: 10_000 }).toBe(true)
    await browser.visit(readFileSync(opened, 'utf8').trim(), knows('sam', false))
    expect([await login.ended, login.output()]).toEqual([0, expect.stringContaining('logged in as Sam Operator')])
    const other = startLeasehold({ ...env, PATH: '/nowhere' }, 'login')
    await expect.poll(other.output, { timeout: 10_000 }).toContain('no browser can be opened here')
    await other.stop()
  })
})

describe('what comes back from the browser', () => {
  test('with the state of another login it is turned away, and the login goes on', async () => {
    const login = startLeasehold(env, 'login', '--no-browser')
    const url = await printedUrl(login)
    const back = new URL(new URL(url).searchParams.get('redirect_uri') ?? '')
    const answers = await Promise.all(
      ['?code=x&state=y', '?code=x', `?error=access_denied&state=`].map(async (query) => (await fetch(back.href + query)).status),
    )
    expect([...answers, (await fetch(new URL('/', back))).status]).toEqual([400, 400, 400, 404])
    await browser.visit(url, knows('sam', false))
    expect(await login.ended).toBe(0)
  })

  const strangers: readonly (readonly [what: string, change: (answer: URLSearchParams) => void, said: RegExp])[] = [
    ['of another issuer (RFC 9207)', (answer) => answer.set('iss', 'https://other.example'), /"iss"/],
    ['of nobody', (answer) => answer.delete('iss'), /"iss"/],
    ['with a code that the issuer did not give', (answer) => answer.set('code', 'x'), /^the issuer refuses: invalid_grant$/m],
    ['with a refusal', (answer) => answer.set('error', 'no\u001B[31m'), /^the issuer refuses: no\[31m$/m],
  ]
  test.each(strangers)('%s it ends the login, and nothing is kept', async (_, change, said) => {
    const login = startLeasehold(env, 'login', '--no-browser')
    const url = await printedUrl(login)
    const back = new URL(url).searchParams.get('redirect_uri') ?? ''
    const answer = new URL((await browser.visit(url, knows('sam', false), back)).url)
    expect(answer.searchParams.get('code')).not.toBeNull()
    change(answer.searchParams)
    await fetch(answer)
    expect([await login.ended, login.output()]).toEqual([1, expect.stringMatching(said)])
    expect(existsSync(file('login.json'))).toBe(false)
  })

  test('an issuer that is not there is said to be silent', async () => {
    expect(await run('login', '--no-browser', '--issuer', 'http://127.0.0.1:9')).toEqual({ code: 1, out: '', err: 'the issuer does not answer\n' })
  })

  test('an issuer without TLS elsewhere, or whose login page is none, gets nobody', async () => {
    expect((await run('login', '--no-browser', '--issuer', 'http://issuer.example')).code).toBe(1)
    const odd = await startIssuer({ authorization_endpoint: 'file:///etc/passwd' })
    expect(await run('login', '--no-browser', '--issuer', odd.url)).toEqual({ code: 1, out: '', err: 'the issuer has no page to log in at\n' })
    await odd.stop()
  })

  const changes: readonly (readonly [what: string, name: string, value: string])[] = [
    ['nonce', 'nonce', 'another'],
    ['PKCE challenge', 'code_challenge', 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'],
    ['key', 'dpop_jkt', 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'],
  ]
  test.each(changes)('for a request with another %s it is refused, and nothing is kept', async (_, name, value) => {
    const { code } = await logIn('ola', ['--acr', 'mfa'], ({ searchParams }) => searchParams.set(name, value))
    expect([code, existsSync(file('login.json'))]).toEqual([1, false])
  })
})

describe('a stored login', () => {
  test('is forgotten with its key by leasehold logout', async () => {
    await logIn('ola')
    expect(await run('logout')).toEqual({ code: 0, out: '', err: '' })
    expect([existsSync(file('login.json')), existsSync(file('dpop-key.json'))]).toEqual([false, false])
    expect(await run('duties', 'list')).toEqual({ code: 1, out: '', err: expect.stringMatching(/^log in first: leasehold login/) })
  })

  test('is used neither after its end, nor for another API, nor once others may read it', async () => {
    await logIn('ola')
    expect(await run('duties', 'list', '--api', 'http://127.0.0.1:1')).toEqual({ code: 1, out: '', err: expect.stringMatching(/^your login is for /) })
    const login = readFileSync(file('login.json'), 'utf8')
    writeFileSync(file('login.json'), JSON.stringify({ ...JSON.parse(login), expiresAt: '2026-01-01T00:00:00.000Z' }))
    expect(await run('duties', 'list')).toEqual({ code: 1, out: '', err: 'your login has ended; run: leasehold login\n' })
    writeFileSync(file('login.json'), login)
    for (const name of ['login.json', 'dpop-key.json']) {
      chmodSync(file(name), 0o640)
      expect(await run('duties', 'list')).toEqual({ code: 1, out: '', err: expect.stringMatching(/^others may read /) })
      chmodSync(file(name), 0o600)
    }
    expect((await run('duties', 'list')).code).toBe(0)
  })
})
