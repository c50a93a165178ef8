import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { createApp, type App } from '#api/app.ts'
import { createNonces } from '#api/dpop-nonce.ts'
import type { ApiSettings, Parts } from '#api/parts.ts'
import { refusalsOf } from '#api/refusals.ts'
import { createCedarDecisionPoint } from '#policy/cedar.ts'
import { createPassphrases } from '#secrets/passphrase.ts'
import { LeaseholdError, type ErrorCode } from '#schemas/errors.ts'
import { seedPeople } from '#stack/seed-people.ts'
import { inAccount } from '#store/connection.ts'
import { notifyDuties } from '#store/duties.ts'
import { readPolicies } from '#store/policy-set.ts'
import type { TestDatabase } from '../support/database.ts'
import { audience, startIssuer, type TestIssuer } from './issuer.ts'

export interface TestApi {
  readonly app: App
  readonly parts: Parts
  readonly issuer: TestIssuer
  call(sub: string | null, method: string, path: string, options?: CallOptions): Promise<Answer>
  stop(): Promise<void>
}

export interface CallOptions {
  readonly body?: unknown
  /** Sent as it is. */
  readonly text?: string
  readonly headers?: Record<string, string>
}

// oxlint-disable-next-line no-explicit-any
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: any
}

/** An answer must be what the OpenAPI document promises. */
const observe: NonNullable<Parts['observe']> = (spec, { status, body, headers }) => {
  const { method, path, answers } = spec
  if (headers['content-type'] === 'application/problem+json') {
    const { code } = body as { code: ErrorCode }
    if (!refusalsOf(spec).includes(code)) throw new Error(`${method} ${path} does not promise ${code}`)
    return
  }
  const schema = answers[status]
  if (schema === undefined) throw new Error(`${method} ${path} does not promise ${status}`)
  const fits = schema === null ? body === null : schema.safeParse(body).success
  if (!fits) throw new Error(`the answer ${status} of ${method} ${path} is not as promised`)
}

const [strong, anyLogin] = [
  { acr: 'mfa', maxAgeSeconds: null },
  { acr: null, maxAgeSeconds: null },
]
/** As in dev mode. */
const stepUp = { checkout: anyLogin, reveal: anyLogin, session: anyLogin, break_glass: strong, admin: strong }

export const apiUrl = 'https://leasehold.example'
/** Path of an item that nobody has. */
export const absent = '00000000-0000-4000-8000-00000000dead'

/** The API in this process, on a real PostgreSQL with the seeded people; OpenBao is down unless `parts` bring it. */
export async function startApi(database: TestDatabase, more: Partial<Parts> = {}, settings: Partial<ApiSettings> = {}): Promise<TestApi> {
  const issuer = await startIssuer()
  await seedPeople(database.ownerUrl, issuer.url)
  const db = database.as('leasehold_api', 8)
  const down = async (): Promise<never> => {
    throw new LeaseholdError('dependency-unavailable', { role: 'openbao' })
  }
  const parts: Parts = {
    config: {
      mode: 'dev',
      oidcIssuer: issuer.url,
      oidcUrl: issuer.url,
      supportIssuer: undefined,
      supportIssuerUrl: undefined,
      supportPermissions: ['pam_vaults.view'],
      apiAudience: audience,
      apiUrl,
      natsUrl: 'nats://127.0.0.1:4222',
      audienceFallback: true,
      dpopNonceRequired: false,
      tokensCountOnce: true,
      acrOrder: ['pwd', 'mfa'],
      stepUp,
      temporalSilenceMinutes: 15,
      rates: { perSecond: 2_000, burst: 4_000, failuresPerMinute: 1_000 },
      corsOrigins: [],
      webauthnRpId: undefined,
      ...settings,
    },
    log: pino({ level: process.env['LEASEHOLD_TEST_LOG'] ?? 'silent' }),
    db,
    requestHashKey: createSecretKey(randomBytes(32)),
    cursorKey: createSecretKey(randomBytes(32)),
    decisionLinkKey: createSecretKey(randomBytes(32)),
    emergencyTokenKey: createSecretKey(randomBytes(32)),
    passphrases: createPassphrases(createSecretKey(randomBytes(32)), { memoryKib: 64, passes: 1, lanes: 1 }),
    nonces: createNonces(createSecretKey(randomBytes(32))),
    decisionPoint: createCedarDecisionPoint(({ accountId, version }) => inAccount(db, accountId, (trx) => readPolicies(trx, version)), ['pwd', 'mfa']),
    vaultKeys: { get: down, legacy: down },
    organizationSecrets: { create: down, read: down },
    accountKeys: { get: down, ensure: down },
    notices: { announce: () => {}, send: async () => ({ state: 'skipped', receipt: 'nobody sends' }) },
    signingKeys: down,
    wakeLoops: () => void notifyDuties(db).catch(() => {}),
    observe,
    stopping: new AbortController().signal,
    checks: {},
    ...more,
  }
  const app = createApp(parts)
  return {
    app,
    parts,
    issuer,
    call: async (sub, method, path, { body, text, headers = {} } = {}) => {
      const init: Record<string, string> = sub === null ? {} : { authorization: `Bearer ${await issuer.token(sub)}` }
      const payload = text ?? (body === undefined ? undefined : JSON.stringify(body))
      if (payload !== undefined) init['content-type'] = 'application/json'
      if (method === 'POST') init['idempotency-key'] = randomUUID()
      const response = await app.request(path, { method, headers: { ...init, ...headers }, ...(payload === undefined ? {} : { body: payload }) })
      const answer = await response.text()
      return { status: response.status, headers: response.headers, text: answer, body: answer.startsWith('{') ? JSON.parse(answer) : undefined }
    },
    stop: () => issuer.stop(),
  }
}
