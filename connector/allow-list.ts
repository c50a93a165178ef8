import { isIPv6 } from 'node:net'

/** Where this connector may dial. It is the connector's own, set by whoever runs it; the control plane cannot widen it. */
export interface AllowList {
  readonly allows: (address: string, port: number) => boolean
}

/**
 * @param entries `host:port`, an IPv6 address in brackets; compared as written, without name resolution
 * @throws TypeError naming the first entry that is not one
 */
export function createAllowList(entries: readonly string[]): AllowList {
  const allowed = new Set(entries.map(parseEntry))
  return { allows: (address, port) => allowed.has(format(address, port)) }
}

function parseEntry(entry: string): string {
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(entry)
  const port = Number(parts?.[3])
  if (parts === null || port < 1 || port > 65_535) throw new TypeError(`not host:port in the allow list: ${JSON.stringify(entry)}`)
  return format(parts[1] ?? (parts[2] as string), port)
}

const format = (address: string, port: number): string => `${isIPv6(address) ? `[${address}]` : address}:${port}`.toLowerCase()
