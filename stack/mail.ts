import path from 'node:path'
import { connect } from 'node:net'
import type { Home } from './home.ts'
import type { Ports } from './ports.ts'
import type { Program } from './process.ts'

/** The mail catcher of this home. */
export function mailProgram(home: Home, ports: Ports): Program {
  return {
    name: 'mail',
    role: 'mail',
    port: ports.smtp,
    command: process.execPath,
    args: [path.join(import.meta.dirname, 'mail-catcher.ts'), home.path, String(ports.smtp), String(ports.mail)],
    stopSignal: 'SIGTERM',
    ready: () => greets(ports.smtp),
  }
}

/** The first line of an SMTP server begins with 220. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 })
    socket.setEncoding('utf8')
    socket.once('error', reject)
    socket.once('timeout', () => socket.destroy(new Error('timeout')))
    socket.once('data', (line: string) => {
      socket.destroy()
      resolve(line.startsWith('220'))
    })
  })
}
