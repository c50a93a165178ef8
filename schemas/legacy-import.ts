import { z } from 'zod'
import { CreateIdentity } from './identity.ts'
import { IdentityId } from './ids.ts'
import { moment } from './text.ts'

/** Most rows of one request: they are taken in one transaction, or none of them is. */
export const mostLegacyRows = 50

/** An identity as it was stored before vault keys (S2); its after-use grace is for owners to set. */
export const LegacyRow = CreateIdentity.omit({ credential: true, afterUseGraceMinutes: true }).extend({
  encryptionVersion: z
    .literal([0, 1])
    .meta({ description: '0: the value itself in UTF-8; 1: nonce(12) || AES-256-GCM ciphertext || tag(16), key of the organization' }),
  ciphertext: z
    .string()
    .refine((text) => /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0, { error: 'must be base64 of at least one byte' })
    .meta({ description: 'The stored bytes in base64', writeOnly: true }),
})
export type LegacyRow = z.infer<typeof LegacyRow>

export const LegacyImportBody = z.strictObject({ rows: z.array(LegacyRow).min(1).max(mostLegacyRows) })

export const LegacyImportAnswer = z.object({
  identities: z.array(z.object({ id: IdentityId, name: z.string() })).meta({ description: 'In the order of the rows' }),
})
export type LegacyImportAnswer = z.infer<typeof LegacyImportAnswer>

/** Whether rows from before vault keys are taken and read. */
export const LegacyState = z.object({
  state: z.enum(['never_opened', 'open', 'closed']).meta({ description: 'closed is final: such rows are refused like tampered ones' }),
  closedAt: moment.nullable(),
  remaining: z
    .object({ version0: z.number().int(), version1: z.number().int() })
    .meta({ description: 'Values that nobody has read since, still as they came' }),
})
export type LegacyState = z.infer<typeof LegacyState>
