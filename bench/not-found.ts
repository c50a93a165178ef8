import { randomUUID } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { apiClient, expectStatus } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import { startStack } from '#stack/test-stack.ts'
import { summaryOf, type Aim } from './aims.ts'
import { createHttpClient, type HttpAnswer, type HttpClient } from './http-client.ts'

/** Requests per route, half of them for what another account has. */
const samples = 20_000
const warmUp = 1_000
/** How far from a coin a guess by time may be. */
const tolerance = 0.02

type Ask = (id: string) => Promise<HttpAnswer>

/** Whether the time of a 404 tells what another account has from what nobody has, one request at a time over a kept connection. */
export async function notFoundBench(say: (line: string) => void): Promise<void> {
  const stack = await startStack()
  try {
    const mia = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'mia', acr: 'mfa' }))
    const { items } = expectStatus(await mia.get<{ items: { id: string }[] }>('/v1/identities?limit=100'), 200)
    const http = createHttpClient(stack.urls.api)
    const login = async () => ({ authorization: `Bearer ${await accessToken({ home: stack.home, user: 'gus', acr: 'mfa' })}` })
    const routes: readonly [string, (headers: { authorization: string }) => Ask][] = [
      ['GET /v1/identities/{id}', (headers) => (id) => http.get(`/v1/identities/${id}`, headers)],
      ['POST /v1/identities/{id}/checkout', (headers) => checkout(http, headers)],
    ]
    const aims: Aim[] = []
    for (const [name, asAsked] of routes) {
      const ask = asAsked(await login())
      const area = await guessBy(
        ask,
        items.map(({ id }) => id),
      )
      say(`${name}: AUC ${area.toFixed(4)} over ${samples} samples`)
      aims.push({ name: `${name}: distance from 0.5`, reached: Math.abs(area - 0.5), atMost: tolerance, digits: 4 })
    }
    http.close()
    say(summaryOf(aims))
  } finally {
    await stack.stop()
  }
}

const checkout = (http: HttpClient, headers: { authorization: string }): Ask => {
  const body = JSON.stringify({ reason: 'Does this exist?', durationMinutes: 30 })
  return (id) => http.post(`/v1/identities/${id}/checkout`, body, headers)
}

/** @returns how often a foreign id takes longer than an absent one (area under the ROC curve): 0.5 is a coin */
async function guessBy(ask: Ask, foreignIds: readonly string[]): Promise<number> {
  const times: { readonly foreign: boolean; readonly ms: number }[] = []
  for (let index = 0; index < warmUp + samples; index += 1) {
    // At random, so that no rhythm of the machine falls on one of them.
    const foreign = Math.random() < 0.5
    const id = foreign ? (foreignIds[index % foreignIds.length] ?? '') : randomUUID()
    const began = performance.now()
    const { status } = await ask(id)
    const ms = performance.now() - began
    if (status !== 404) throw new Error(`${foreign ? 'a foreign' : 'an absent'} id was answered ${status}`)
    if (index >= warmUp) times.push({ foreign, ms })
  }
  return areaOf(times)
}

/** Mann-Whitney: the sum of the ranks of the foreign ones; equal times share their rank. */
function areaOf(times: { readonly foreign: boolean; readonly ms: number }[]): number {
  const sorted = times.toSorted((one, other) => one.ms - other.ms)
  let ranks = 0
  for (let start = 0; start < sorted.length;) {
    let end = start
    while (end < sorted.length && sorted[end]?.ms === sorted[start]?.ms) end += 1
    const rank = (start + 1 + end) / 2
    ranks += rank * sorted.slice(start, end).filter(({ foreign }) => foreign).length
    start = end
  }
  const positive = sorted.filter(({ foreign }) => foreign).length
  return (ranks - (positive * (positive + 1)) / 2) / (positive * (sorted.length - positive))
}
