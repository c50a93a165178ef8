import { ApplicationFailure } from '@temporalio/common'
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
  encodeErrorToFailure,
  encodeToPayloads,
  loadDataConverter,
} from '@temporalio/common/lib/internal-non-workflow/index.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDataConverter } from '#secrets/data-converter.ts'
import { startOpenBao, type TestOpenBao } from '#test/support/openbao.ts'

let server: TestOpenBao
beforeAll(async () => void (server = await startOpenBao()), 40_000)
afterAll(() => server.stop())

const load = async () => loadDataConverter(await createDataConverter(server.as('leasehold-worker')))

test('workers that start at the same time agree on one namespace key', async () => {
  const [one, ...others] = await Promise.all(Array.from({ length: 4 }, load))
  const encoded = await encodeToPayloads(one as Awaited<ReturnType<typeof load>>, { leaseId: 'l', version: 3 })
  for (const other of [...others, await load()]) expect(await decodeArrayFromPayloads(other, encoded)).toEqual([{ leaseId: 'l', version: 3 }])
})

test('the namespace key lies in OpenBao only wrapped', async () => {
  await load()
  expect(await server.as('leasehold-worker').read(['leasehold', 'data', 'temporal', '1'])).toMatchObject({
    data: { wrapped: expect.stringMatching(/^vault:v1:/) },
  })
})

test('of a failure Temporal sees the type only; we read its message again', async () => {
  const converter = await load()
  const failure = await encodeErrorToFailure(
    converter,
    ApplicationFailure.create({ type: 'busy', message: 'the name of a host', details: ['a detail'], cause: new Error('the cause') }),
  )
  const seen = JSON.stringify(failure)
  for (const words of ['name of a host', 'a detail', 'the cause', 'data-converter.test']) expect(seen).not.toContain(words)
  expect(failure).toMatchObject({ message: 'Encoded failure', applicationFailureInfo: { type: 'busy' } })
  const read = await decodeOptionalFailureToOptionalError(converter, failure)
  expect(read).toMatchObject({ type: 'busy', message: 'the name of a host', details: ['a detail'], cause: { message: 'the cause' } })
})

test('goes on while OpenBao is down, and a new process does not start without it', async () => {
  const gone = await startOpenBao()
  const converter = loadDataConverter(await createDataConverter(gone.as('leasehold-worker')))
  await gone.stop()
  expect(await decodeArrayFromPayloads(converter, await encodeToPayloads(converter, 'x'))).toEqual(['x'])
  await expect(createDataConverter(gone.as('leasehold-worker'))).rejects.toMatchObject({ code: 'dependency-unavailable', facts: { role: 'openbao' } })
}, 40_000)
