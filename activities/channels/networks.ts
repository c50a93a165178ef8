import { BlockList, isIP, isIPv6 } from 'node:net'

/** Addresses that are nobody's of the public internet (IANA special-purpose registries), so that a channel cannot be made to look around inside. */
const special: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
]
/** Of IPv6 only what is handed out for use, and of that neither documentation nor the ways back into IPv4. */
const publicIpv6 = '2000::/3'
const specialIpv6: readonly string[] = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

/** @throws Error for what is no network in CIDR notation */
function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix = ''] = network.split('/')
    list.addSubnet(address, Number(prefix), isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  return list
}

const refused = listOf(special)
const refusedIpv6 = listOf(specialIpv6)
const allowedIpv6 = listOf([publicIpv6])

/** An IPv4 address in the clothes of IPv6 is that IPv4 address. */
function plain(address: string): string {
  if (!isIPv6(address)) return address
  // The URL parser writes it in one way: ::ffff:7f00:1.
  const mapped = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(new URL(`http://[${address.split('%')[0]}]/`).hostname)
  if (mapped === null) return address
  const [high, low] = [Number.parseInt(mapped[1] as string, 16), Number.parseInt(mapped[2] as string, 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

export type MayReach = (address: string) => boolean

/**
 * Which addresses a channel may lead to: those of the public internet, and these networks.
 *
 * @param networks CIDR
 */
export function reachable(networks: readonly string[]): MayReach {
  const allowed = listOf(networks)
  return (given) => {
    const address = plain(given)
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (isIP(address) === 0) return false
    if (allowed.check(address, family)) return true
    return family === 'ipv4' ? !refused.check(address) : allowedIpv6.check(address, family) && !refusedIpv6.check(address, family)
  }
}
