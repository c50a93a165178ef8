import { expect, test } from 'vitest'
import { readConfig } from '#server/config.ts'

const environment = {
  LEASEHOLD_MODE: 'dev',
  LEASEHOLD_POSTGRES_URL: 'postgres://127.0.0.1/leasehold',
  LEASEHOLD_CREDENTIALS_FILE: '/nowhere',
  LEASEHOLD_TEMPORAL_ADDRESS: '127.0.0.1:7233',
  LEASEHOLD_NATS_URL: 'nats://127.0.0.1:4222',
  LEASEHOLD_OPENBAO_URL: 'http://127.0.0.1:8200',
  LEASEHOLD_OIDC_ISSUER: 'http://127.0.0.1:9000',
  LEASEHOLD_API_URL: 'http://127.0.0.1:8443',
}

test('checkouts stop after 15 minutes of silence, or after what is configured', () => {
  expect(readConfig(environment).temporalSilenceMinutes).toBe(15)
  expect(readConfig({ ...environment, LEASEHOLD_TEMPORAL_SILENCE_MINUTES: '3' }).temporalSilenceMinutes).toBe(3)
})

test.each(['0', '1441', 'soon', '2.5'])('a silence of %s minutes is refused by name', (minutes) => {
  expect(() => readConfig({ ...environment, LEASEHOLD_TEMPORAL_SILENCE_MINUTES: minutes })).toThrow(/LEASEHOLD_TEMPORAL_SILENCE_MINUTES/)
})
