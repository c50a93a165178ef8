import { createHash, createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { scramVerifier } from '#connector/scram.ts'

// The exchange of RFC 7677 section 3: user "user", password "pencil".
const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const authMessage =
  'n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'

test('a verifier accepts the client proof and gives the server signature of RFC 7677', async () => {
  const verifier = await scramVerifier('pencil', { salt, iterations: 4096 })
  const [, storedKey = '', serverKey = ''] = /^SCRAM-SHA-256\$4096:W22ZaJ0SNY7soEsUEjb6gQ==\$(.{44}):(.{44})$/.exec(verifier) ?? []
  const serverSignature = createHmac('sha256', Buffer.from(serverKey, 'base64')).update(authMessage).digest('base64')
  expect(serverSignature).toBe('6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
  const clientSignature = createHmac('sha256', Buffer.from(storedKey, 'base64')).update(authMessage).digest()
  const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64')
  const clientKey = proof.map((byte, index) => byte ^ (clientSignature[index] as number))
  expect(createHash('sha256').update(clientKey).digest('base64')).toBe(storedKey)
})

test('two verifiers of one password have different salts', async () => {
  expect(await scramVerifier('pencil')).not.toBe(await scramVerifier('pencil'))
})

test('a password that SASLprep could change is refused without being named', async () => {
  for (const password of ['pässword', 'tab\there', '', 'nul\0']) await expect(scramVerifier(password)).rejects.toThrow('the password is not printable ASCII')
})
