import { performance } from 'node:perf_hooks'

/**
 * Waiting for a server that may be missing. A busy process must not take its own slowness for the silence of the server: one wrong verdict
 * turns away everybody who waits for the same server.
 */

/** A server has not answered. */
export class Silence extends Error {
  override readonly name = 'Silence'
}

/**
 * The answer, if it comes within `limitMs`. What has arrived while this process was busy is read before an answer counts as missing.
 *
 * @throws Silence
 */
export function within<T>(answer: Promise<T>, limitMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    // Timers come before what the network has brought, which comes before immediates.
    const timer = setTimeout(() => setImmediate(() => reject(new Silence('no answer in time'))), limitMs)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** Share of the time above which this process had no time left to listen. */
const overwhelmed = 0.9

/** Tries once more when it was this process that had no time, and not the server that did not answer. */
export async function again<T>(attempt: () => Promise<T>): Promise<T> {
  const before = performance.eventLoopUtilization()
  return attempt().catch((error: unknown) => {
    if (performance.eventLoopUtilization(before).utilization < overwhelmed) throw error
    return attempt()
  })
}
