import { registerHooks } from 'node:module'

/**
 * Turns one comment `// crash point: NAME` of our sources into the sudden death of the process; for tests, by `--import`.
 * Without this loader the comments are comments.
 *
 * LEASEHOLD_CRASH_POINT=NAME:N dies when the point is passed for the N-th time; LEASEHOLD_CRASH_SIGNAL=SIGSTOP stands still there.
 */
const [name, times] = (process.env.LEASEHOLD_CRASH_POINT ?? '').split(':')
let left = Number(times)
globalThis.passCrashPoint = () => {
  left -= 1
  if (left === 0) process.kill(process.pid, process.env.LEASEHOLD_CRASH_SIGNAL ?? 'SIGKILL')
}

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.endsWith('.ts') || url.includes('/node_modules/') || !loaded.source) return loaded
    const source = loaded.source.toString()
    return source.includes(`// crash point: ${name}\n`)
      ? { ...loaded, source: source.replace(`// crash point: ${name}\n`, 'globalThis.passCrashPoint()\n') }
      : loaded
  },
})
