import { expect, test } from 'vitest'
import { refuseSwitches } from '#secrets/environment.ts'

test.each([
  [{ VAULT_SKIP_VERIFY: 'false' }, 'VAULT_SKIP_VERIFY'],
  [{ VAULT_ADDR: 'http://elsewhere', VAULT_TOKEN: 'value' }, 'VAULT_ADDR, VAULT_TOKEN'],
  [{ VAULT_NAMESPACE: '' }, 'VAULT_NAMESPACE'],
  [{ BAO_ADDR: 'http://elsewhere' }, 'BAO_ADDR'],
  [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, 'NODE_TLS_REJECT_UNAUTHORIZED'],
  [{ DEBUG: '*' }, 'DEBUG'],
  [{ DEBUG: 'http,node-vault' }, 'DEBUG'],
  [{ DEBUG: 'http no*' }, 'DEBUG'],
])('%j is refused by name, never with its value', (env, names) => {
  expect(() => refuseSwitches(env)).toThrow(new Error(`these variables must not be set: ${names}`))
})

test.each([
  {},
  { DEBUG: '' },
  { DEBUG: 'http*' },
  { DEBUG: '-node-vault' },
  { NODE_TLS_REJECT_UNAUTHORIZED: '1' },
  { MY_VAULT_NAME: 'x' },
  { VAULT_ADDR: undefined },
])('%j is no switch of OpenBao', (env) => {
  expect(() => refuseSwitches(env)).not.toThrow()
})
