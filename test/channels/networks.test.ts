import { expect, test } from 'vitest'
import { reachable } from '#activities/channels/networks.ts'

const nowhere = [
  '127.0.0.1',
  '127.255.255.254',
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '192.0.2.1',
  '198.18.0.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '0:0:0:0:0:ffff:a9fe:a9fe',
  '::127.0.0.1',
  '64:ff9b::7f00:1',
  '2002:7f00:1::',
  '2001:0:7f00:1::',
  '2001:db8::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  'localhost',
  '127.1',
  '',
]
const somewhere = ['1.1.1.1', '172.32.0.1', '100.128.0.1', '::ffff:1.1.1.1', '2606:4700:4700::1111', '2a00:1450::1']

test.each(nowhere)('nothing is sent to %s', (address) => {
  expect(reachable([])(address)).toBe(false)
})

test.each(somewhere)('%s is of the public internet', (address) => {
  expect(reachable([])(address)).toBe(true)
})

test('an operator allows networks, and nothing beside them', () => {
  const mayReach = reachable(['10.0.0.0/8', 'fd00::/8', '127.0.0.1/32'])
  expect(['10.9.9.9', '::ffff:10.0.0.1', 'fd12::1', '127.0.0.1'].map(mayReach)).toEqual([true, true, true, true])
  expect(['127.0.0.2', '192.168.0.1', 'fe80::1', '::1'].map(mayReach)).toEqual([false, false, false, false])
})
