import type { Payload } from '@temporalio/common'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { Stack } from '#stack/test-stack.ts'
import { openTemporal } from './open-temporal.ts'

/** A lease as its tables or its history tell it. Times in ms since 1970. */
export interface LeaseStory {
  readonly granted: { readonly at: number; readonly minutes: number; readonly until: number }
  /** The ends that extensions promised, in order. */
  readonly extended: readonly number[]
  readonly ended: { readonly at: number; readonly why: string }
  readonly rotated: { readonly id: string; readonly state: string } | null
}

/** Rebuilds the story from the history alone: nothing is read from PostgreSQL. The worker's key opens the payloads. */
export async function storyFromHistory(stack: Stack, workflowId: string): Promise<LeaseStory> {
  const looks = await looksOf(stack, workflowId)
  const [first, last] = [looks[0], looks.at(-1)]
  const [term, ...later] = last?.terms ?? []
  if (first === undefined || last === undefined || term === undefined || last.endedAt === null || last.endCause === null)
    throw new Error('the history tells no end')
  return {
    granted: { at: Date.parse(first.startedAt), minutes: first.requestedMinutes, until: Date.parse(term.expiresAt) },
    extended: later.map(({ expiresAt }) => Date.parse(expiresAt)),
    ended: { at: Date.parse(last.endedAt), why: last.endCause },
    rotated: last.rotation,
  }
}

/** What the workflow saw each time that it looked at PostgreSQL. */
async function looksOf(stack: Stack, workflowId: string): Promise<LeaseFacts[]> {
  const { client, close } = await openTemporal(stack)
  try {
    const { payloadCodecs = [] } = client.options.loadedDataConverter
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory()
    const results = (events ?? []).flatMap(({ markerRecordedEventAttributes: marker }) => marker?.details?.['result']?.payloads ?? [])
    const decoded = await Promise.all(results.map(async (payload) => (await payloadCodecs[0]?.decode([payload as Payload]))?.[0]?.data))
    return decoded.map((data) => JSON.parse(Buffer.from(data ?? []).toString()) as LeaseFacts)
  } finally {
    await close()
  }
}
