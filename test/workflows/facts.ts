import { randomUUID } from 'node:crypto'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { JobFacts, RotationFacts } from '#schemas/rotation-facts.ts'

export const minute = 60_000

/** An active lease of 30 minutes; any field may be given. */
export const leaseFacts = (fields: Partial<LeaseFacts> = {}): LeaseFacts =>
  ({
    leaseId: randomUUID(),
    organizationId: randomUUID(),
    vaultId: randomUUID(),
    identityId: randomUUID(),
    hostId: null,
    userId: randomUUID(),
    mode: 'standard',
    state: 'active',
    slot: 0,
    version: 1,
    credentialVersion: 1,
    requestedMinutes: 30,
    startedAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2026-01-01T00:30:00.000Z',
    remainingMs: 30 * minute,
    terms: [{ version: 1, expiresAt: '2026-01-01T00:30:00.000Z', setAt: '2026-01-01T00:00:00.000Z' }],
    endedAt: null,
    endCause: null,
    rotationOwed: false,
    rotation: null,
    ...fields,
  }) as LeaseFacts

/** A job that waits to be offered; any field may be given. */
export const jobFacts = (fields: Partial<JobFacts> = {}): JobFacts =>
  ({
    jobId: randomUUID(),
    hostId: randomUUID(),
    connectorId: randomUUID(),
    kind: 'reset',
    state: 'waiting',
    epoch: 0,
    attempts: 0,
    reasonClass: null,
    claimRemainingMs: null,
    nextInMs: 0,
    doubtForMs: null,
    ...fields,
  }) as JobFacts

/** A rotation that was just begun; any field may be given. */
export const rotationFacts = (fields: Partial<RotationFacts> = {}): RotationFacts =>
  ({
    rotationId: randomUUID(),
    organizationId: randomUUID(),
    vaultId: randomUUID(),
    identityId: randomUUID(),
    trigger: 'manual',
    state: 'pending',
    phase: 'queued',
    needsAttention: false,
    version: 1,
    stagedVersion: null,
    reasonClass: null,
    startedAt: '2026-01-01T00:00:00.000Z',
    finishedAt: null,
    jobs: [],
    ...fields,
  }) as RotationFacts
