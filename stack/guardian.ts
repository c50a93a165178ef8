import { spawn, type ChildProcess } from 'node:child_process'
import path from 'node:path'

/** Watches over process groups: they end when this process does, even by SIGKILL. */
export interface Guardian {
  readonly pid: () => number | undefined
  /** @param signal the one that makes the program stop in order */
  watch(pid: number, signal: NodeJS.Signals): void
  forget(pid: number): void
  /** Lets the guardian go; what it still watches ends. */
  release(): void
}

export function startGuardian(): Guardian {
  const watched = new Map<number, NodeJS.Signals>()
  let released = false
  let child = launch()

  function launch(): ChildProcess {
    const next = spawn(process.execPath, [path.join(import.meta.dirname, 'guardian.mjs')], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    next.stdin.on('error', () => {})
    next.on('exit', () => {
      if (released) return
      child = launch()
      for (const [pid, signal] of watched) write(`+${pid} ${signal}`)
    })
    next.unref()
    return next
  }

  function write(line: string): void {
    child.stdin?.write(`${line}\n`)
  }

  return {
    pid: () => child.pid,
    watch(pid, signal) {
      watched.set(pid, signal)
      write(`+${pid} ${signal}`)
    },
    forget(pid) {
      watched.delete(pid)
      write(`-${pid}`)
    },
    release() {
      released = true
      child.stdin?.end()
    },
  }
}
