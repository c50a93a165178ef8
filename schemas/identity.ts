import { z } from 'zod'
import { credentialTypes, type CredentialType } from './credential-form.ts'
import { Health } from './check.ts'
import { HostId, IdentityId, OrganizationId, RotationId, VaultId } from './ids.ts'
import { PasswordPolicy } from './password-policy.ts'
import { moment, name, text } from './text.ts'

const credential = z
  .string()
  .refine((value) => value.isWellFormed() && !value.includes('\u0000'), { error: 'must be text without U+0000', abort: true })
  .refine((value) => value.length >= 1 && new TextEncoder().encode(value).length <= 65_536, { error: 'must be 1 to 65536 bytes long' })
  .meta({ description: 'Password or key; encrypted before it is stored, never answered here', writeOnly: true })

/** Every field of S2 "Credential fields", and how the credential may be used. */
const fields = {
  name,
  username: text(1, 255).refine((value) => !/[\t\n\r]/.test(value), { error: 'must be one line' }),
  credentialType: z.enum(credentialTypes),
  credential,
  rotationIntervalDays: z.number().int().min(1).max(3650).nullable().meta({ description: 'Days between automatic rotations; null: none' }),
  rotateAfterUse: z.boolean().meta({ description: 'Rotate after every checkin; needs a host' }),
  rotateAfterAccessLoss: z.boolean().meta({ description: 'Rotate when somebody who has seen the present value may see it no more; needs hosts' }),
  checkIntervalHours: z.number().int().min(1).max(8760).nullable().meta({ description: 'Hours between checks whether the value still logs in; null: none' }),
  reconcileDrift: z.boolean().meta({ description: 'Rotate when a check is refused; needs hosts with an admin identity' }),
  hostIds: z
    .array(HostId)
    .max(100)
    .refine((ids) => new Set(ids).size === ids.length, { error: 'must name each host once' }),
  allowConcurrentCheckout: z.boolean(),
  maxConcurrentSessions: z.number().int().min(1).max(1000).nullable().meta({ description: 'Required with concurrent checkout, refused without' }),
  exposure: z.enum(['revealable', 'inject_only']).meta({ description: 'inject_only: no person is ever shown the value' }),
  afterUseGraceMinutes: z
    .number()
    .int()
    .min(5)
    .max(1440)
    .nullable()
    .meta({ description: 'An owed rotation blocks new checkouts at most so long; null: until it is confirmed. Set by account owners' }),
  passwordPolicy: PasswordPolicy.nullable().meta({ description: 'For generated values; null: what the target of its hosts takes' }),
}

const { name: _name, username, credentialType, ...rest } = fields
const { credential: _credential, ...optional } = rest

export const CreateIdentity = z
  .strictObject({
    identityGroupId: VaultId,
    name,
    username,
    credentialType,
    credential,
    ...z.object(optional).partial().shape,
  })
  .meta({
    examples: [
      {
        identityGroupId: '01980000-0000-7000-8000-000000000002',
        name: 'orders-db',
        username: 'orders_app',
        credentialType: 'password',
        credential: 'what logs in today',
        hostIds: ['01980000-0000-7000-8000-000000000003'],
        rotateAfterUse: true,
        rotationIntervalDays: 30,
      },
    ],
  })
export type CreateIdentity = z.infer<typeof CreateIdentity>

export const ChangeIdentity = z
  .strictObject({
    ...fields,
    state: z.enum(['active', 'disabled']),
    identityGroupId: VaultId.meta({ description: 'Moves the identity to that vault; comes alone, like POST …/move' }),
  })
  .partial()
export type ChangeIdentity = z.infer<typeof ChangeIdentity>

/** The vault that an identity moves to. */
export const MoveIdentity = z.strictObject({ identityGroupId: VaultId })

export const Identity = z.object({
  id: IdentityId,
  organizationId: OrganizationId,
  identityGroupId: VaultId,
  name: z.string(),
  username: z.string(),
  credentialType,
  ...optional,
  state: z.enum(['active', 'disabled', 'enrolling']).meta({ description: 'enrolling: its host has not confirmed its first password; nobody can use it' }),
  credentialVersion: z.number().int(),
  publicKey: z.string().nullable().meta({ description: 'Public half of an SSH key, as OpenSSH writes it' }),
  publicKeyFingerprint: z.string().nullable().meta({ description: 'Of the public half: SHA256 and base64, as ssh-keygen -l prints it' }),
  hosts: z.array(
    z.object({
      hostId: HostId,
      credentialVersion: z.number().int().meta({ description: 'The version that logs in at this host' }),
      sync: z.enum(['in_sync', 'unknown', 'drifted']).meta({ description: 'in_sync: proven by a login' }),
      health: Health.meta({ description: 'sync, or unreachable: nothing contradicts it, and the last login that was tried got no answer' }),
      checkedAt: moment.nullable().meta({ description: 'When a login last proved or disproved that version' }),
      unreachableSince: moment.nullable(),
    }),
  ),
  activeLeases: z.number().int(),
  rotationId: RotationId.nullable().meta({ description: 'The rotation that is running' }),
  draining: z.boolean(),
  nextRotationAt: moment.nullable(),
  nextCheckAt: moment.nullable().meta({ description: 'null: no interval, or a host has drifted' }),
  lastRotatedAt: moment.nullable(),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type Identity = z.infer<typeof Identity>

/** The settings whose combinations have rules of their own. */
export interface IdentitySettings {
  readonly allowConcurrentCheckout: boolean
  readonly maxConcurrentSessions: number | null
  readonly rotateAfterUse: boolean
  readonly rotateAfterAccessLoss?: boolean | undefined
  readonly reconcileDrift?: boolean | undefined
  readonly hostIds: readonly string[]
  readonly credentialType: CredentialType
  readonly passwordPolicy?: PasswordPolicy | null | undefined
}

/** What is wrong with the settings of an identity taken together; empty: nothing. */
export function settingFaults(settings: IdentitySettings): { path: string; message: string }[] {
  const faults = []
  if (settings.allowConcurrentCheckout && settings.maxConcurrentSessions === null) {
    faults.push({ path: 'maxConcurrentSessions', message: 'is required when allowConcurrentCheckout is on' })
  }
  if (!settings.allowConcurrentCheckout && settings.maxConcurrentSessions !== null) {
    faults.push({ path: 'maxConcurrentSessions', message: 'must be absent when allowConcurrentCheckout is off' })
  }
  for (const path of ['rotateAfterUse', 'rotateAfterAccessLoss', 'reconcileDrift'] as const) {
    if (settings[path] === true && settings.hostIds.length === 0) faults.push({ path, message: 'needs at least one host in hostIds' })
  }
  if (settings.credentialType === 'ssh_key' && settings.passwordPolicy != null) {
    faults.push({ path: 'passwordPolicy', message: 'must be absent with credentialType ssh_key' })
  }
  return faults
}
