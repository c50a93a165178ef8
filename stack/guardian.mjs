// Ends everything that a supervisor started once the supervisor is gone, however it went. It holds one end of a pipe whose other
// end only the supervisor has; lines on it are `+PID SIGNAL` and `-PID`. Each PID leads a process group of its own.
const signals = new Map()
const patience = 4_000
let rest = ''

function send(pid, signal) {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

function end() {
  for (const [pid, signal] of signals) send(pid, signal)
  const deadline = Date.now() + patience
  const timer = setInterval(() => {
    const alive = [...signals.keys()].filter((pid) => send(-pid, 0))
    if (alive.length > 0 && Date.now() < deadline) return
    for (const pid of alive) send(-pid, 'SIGKILL')
    clearInterval(timer)
  }, 50)
}

process.stdin.setEncoding('utf8')
process.stdin.on('data', (text) => {
  const lines = (rest + text).split('\n')
  rest = lines.pop() ?? ''
  for (const line of lines) {
    const [pid, signal] = line.slice(1).split(' ')
    if (line.startsWith('+')) signals.set(Number(pid), signal)
    else signals.delete(Number(pid))
  }
})
process.stdin.on('end', end)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})
