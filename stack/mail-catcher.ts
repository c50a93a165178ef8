import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import path from 'node:path'
import { SMTPServer } from 'smtp-server'
import { readHome } from './home.ts'

/**
 * `node stack/mail-catcher.ts HOME SMTP_PORT PAGE_PORT`: takes every mail of a development stack, delivers none, and shows them
 * on a page of loopback. Never part of a production installation.
 */

const kept = 500
const largestMail = 1_000_000

function main(): void {
  const [homePath = '', smtpPort, pagePort] = process.argv.slice(2)
  const home = readHome(homePath)
  if (home === undefined) throw new Error('the arguments are the home of a stack and two ports')
  const folder = home.file('mail')
  mkdirSync(folder, { recursive: true })
  catchMails(folder).listen(Number(smtpPort), '127.0.0.1')
  createServer((request, response) => answer(folder, request.url ?? '/', response)).listen(Number(pagePort), '127.0.0.1')
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))
}

function catchMails(folder: string): SMTPServer {
  let count = 0
  return new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    size: largestMail,
    onData(stream, session, done) {
      const parts: Buffer[] = [Buffer.from(session.envelope.rcptTo.map(({ address }) => `X-Caught-For: ${address}\r\n`).join(''))]
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('end', () => {
        count += 1
        writeFileSync(path.join(folder, `${new Date().toISOString().replaceAll(/\W/g, '')}-${String(count).padStart(6, '0')}.eml`), Buffer.concat(parts), {
          mode: 0o600,
        })
        for (const old of names(folder).slice(kept)) rmSync(path.join(folder, old), { force: true })
        done()
      })
    },
  })
}

/** Newest first. */
const names = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => /^\w+-\d+\.eml$/.test(name))
    .sort()
    .toReversed()

function answer(folder: string, url: string, response: ServerResponse): void {
  const name = /^\/([\w-]+\.eml)$/.exec(url)?.[1]
  const found = names(folder)
  if (name !== undefined && found.includes(name)) {
    response.setHeader('x-content-type-options', 'nosniff').setHeader('content-type', 'text/plain; charset=utf-8')
    return void response.end(readFileSync(path.join(folder, name)))
  }
  if (url === '/messages') return void response.setHeader('content-type', 'application/json').end(JSON.stringify(found.map((each) => summaryOf(folder, each))))
  if (url !== '/') return void response.writeHead(404).end()
  const rows = found.map((each) => {
    const { to, subject, date } = summaryOf(folder, each)
    return `<tr><td>${escape(date)}<td>${escape(to)}<td><a href="/${each}">${escape(subject)}</a>`
  })
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': "default-src 'none'; frame-ancestors 'none'" })
  response.end(`<!doctype html><html lang="en"><title>Leasehold: caught mail</title><h1>Caught mail</h1><table>${rows.join('\n')}</table></html>`)
}

interface Summary {
  readonly name: string
  readonly to: string
  readonly subject: string
  readonly date: string
  readonly messageId: string
}

function summaryOf(folder: string, name: string): Summary {
  const [head = ''] = readFileSync(path.join(folder, name), 'utf8').split(/\r?\n\r?\n/)
  const unfolded = head.replaceAll(/\r?\n[ \t]+/g, ' ')
  const field = (label: string): string => new RegExp(`^${label}: (.*)$`, 'im').exec(unfolded)?.[1]?.trim() ?? ''
  return { name, to: field('X-Caught-For'), subject: field('Subject'), date: field('Date'), messageId: field('Message-ID') }
}

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

main()
