/**
 * node-vault reads its server, token, prefix, namespace and certificate checks from the environment, even where the program
 * names its own, and prints what it sends under DEBUG. OpenBao's own variables are refused with them: whoever sets one
 * believes that it counts.
 *
 * @throws Error that names the variables, never their values
 */
export function refuseSwitches(env: Readonly<Record<string, string | undefined>>): void {
  const set = Object.keys(env).filter((name) => env[name] !== undefined && /^(VAULT|BAO)_/i.test(name))
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') set.push('NODE_TLS_REJECT_UNAUTHORIZED')
  if ((env['DEBUG'] ?? '').split(/[\s,]+/).some(shows)) set.push('DEBUG')
  if (set.length > 0) throw new Error(`these variables must not be set: ${set.sort().join(', ')}`)
}

/** Whether a pattern of the package `debug` includes node-vault, e.g. `*` or `node-*`. */
function shows(pattern: string): boolean {
  const literal = pattern.split('*').map((part) => part.replaceAll(/[$()+.?[\\\]^{|}]/g, String.raw`\$&`))
  return pattern !== '' && new RegExp(`^${literal.join('.*')}$`).test('node-vault')
}
