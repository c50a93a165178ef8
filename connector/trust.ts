import { readFileSync } from 'node:fs'
import { Agent, fetch as fetchWith } from 'undici'

/**
 * Certificate authorities of the control plane, PEM, from the file that LEASEHOLD_CA_FILE names.
 *
 * @returns undefined when it names none: those that come with Node are believed
 * @throws Error when the file holds no certificate, or Node was told to believe every certificate
 */
export function readAuthorities(env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') throw new Error('NODE_TLS_REJECT_UNAUTHORIZED must not be 0')
  const file = env['LEASEHOLD_CA_FILE']
  if (file === undefined || file === '') return undefined
  const pem = readFileSync(file, 'utf8')
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new Error('the file of LEASEHOLD_CA_FILE has no certificate')
  return pem
}

/** fetch over TLS 1.3 with certificates checked. @param ca PEM; undefined: the authorities that come with Node */
export function createFetch(ca: string | undefined): typeof fetch {
  const dispatcher = new Agent({ connect: { minVersion: 'TLSv1.3', rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) } })
  const reach = (...[input, init]: Parameters<typeof fetchWith>) => fetchWith(input, { ...init, dispatcher })
  return reach as unknown as typeof fetch
}

/** What a control plane says is believed and done: it is reached over TLS, or it is on this machine. */
export function refusePlain(url: string, encrypted: 'https:' | 'tls:'): void {
  const { protocol, hostname } = new URL(url)
  const loopback = /^(127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(hostname)
  if (protocol !== encrypted && !loopback) throw new TypeError(`a URL outside this machine must begin with ${encrypted}//`)
}
