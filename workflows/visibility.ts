import { defineSearchAttributeKey, SearchAttributeType, type SearchAttributePair, type SearchAttributeUpdatePair } from '@temporalio/common'
import { upsertSearchAttributes } from '@temporalio/workflow'
import type { BreakGlassReviewFacts } from '#schemas/break-glass-facts.ts'
import type { AccessRequestFacts } from '#schemas/access-request-facts.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { RotationFacts } from '#schemas/rotation-facts.ts'

const keys = {
  vault: defineSearchAttributeKey('LeaseholdVault', SearchAttributeType.KEYWORD),
  identity: defineSearchAttributeKey('LeaseholdIdentity', SearchAttributeType.KEYWORD),
  state: defineSearchAttributeKey('LeaseholdState', SearchAttributeType.KEYWORD),
  mode: defineSearchAttributeKey('LeaseholdMode', SearchAttributeType.KEYWORD),
  connector: defineSearchAttributeKey('LeaseholdConnector', SearchAttributeType.KEYWORD),
  expiresAt: defineSearchAttributeKey('LeaseholdExpiresAt', SearchAttributeType.DATETIME),
  pendingSince: defineSearchAttributeKey('LeaseholdPendingSince', SearchAttributeType.DATETIME),
  needsAttention: defineSearchAttributeKey('LeaseholdNeedsAttention', SearchAttributeType.BOOL),
  breakGlass: defineSearchAttributeKey('LeaseholdBreakGlass', SearchAttributeType.BOOL),
}

/** What operators search for; account and subject are set by the relay at the start. */
function leaseAttributes(facts: LeaseFacts): SearchAttributePair[] {
  return [
    { key: keys.vault, value: facts.vaultId },
    { key: keys.identity, value: facts.identityId },
    { key: keys.state, value: facts.state },
    { key: keys.mode, value: facts.mode },
    { key: keys.expiresAt, value: new Date(facts.expiresAt) },
    { key: keys.breakGlass, value: facts.mode === 'break_glass' },
  ]
}

function rotationAttributes(facts: RotationFacts): SearchAttributePair[] {
  const [job] = facts.jobs
  return [
    { key: keys.vault, value: facts.vaultId },
    { key: keys.identity, value: facts.identityId },
    { key: keys.state, value: facts.state },
    { key: keys.pendingSince, value: new Date(facts.startedAt) },
    { key: keys.needsAttention, value: facts.needsAttention },
    ...(job === undefined ? [] : [{ key: keys.connector, value: job.connectorId } as SearchAttributePair]),
  ]
}

const reviewAttributes = (facts: BreakGlassReviewFacts): SearchAttributePair[] => [
  { key: keys.vault, value: facts.vaultId },
  { key: keys.identity, value: facts.identityId },
  { key: keys.state, value: facts.state },
  { key: keys.breakGlass, value: true },
  { key: keys.needsAttention, value: facts.state === 'open' },
]
function accessRequestAttributes(facts: AccessRequestFacts): SearchAttributePair[] {
  return [
    { key: keys.vault, value: facts.vaultId },
    { key: keys.identity, value: facts.identityId },
    { key: keys.state, value: facts.state },
    { key: keys.pendingSince, value: new Date(facts.openedAt) },
    { key: keys.expiresAt, value: new Date(facts.expiresAt) },
  ]
}

/** Writes the attributes when they are other than the last ones: each write is an event in the history. */
function publisher<Facts>(attributesOf: (facts: Facts) => SearchAttributePair[]): (facts: Facts) => void {
  let last = ''
  return (facts) => {
    const attributes = attributesOf(facts)
    const text = JSON.stringify(attributes)
    if (text !== last) upsertSearchAttributes(attributes as SearchAttributeUpdatePair[])
    last = text
  }
}

export const leasePublisher = () => publisher(leaseAttributes)
export const reviewPublisher = () => publisher(reviewAttributes)
export const rotationPublisher = () => publisher(rotationAttributes)
export const accessRequestPublisher = () => publisher(accessRequestAttributes)
