import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import type { Stack } from '#stack/test-stack.ts'
import { legacyVersion0 } from '../support/legacy-row.ts'

const entry = path.join(import.meta.dirname, '../../cli/main.ts')

/** What the import of legacy rows promises on a running stack. */
export function importCommands(running: () => Stack): void {
  let stack: Stack
  let mia: ApiClient
  let folder: string
  let organizationId: string
  let identityGroupId: string
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'leasehold-import-'))
    stack = running()
    mia = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'mia', acr: 'mfa' }))
    organizationId = expectStatus(await mia.post<{ id: string }>('/v1/organizations', { name: 'of before' }), 201).id
    expectStatus(await mia.put(`/v1/organizations/${organizationId}/secret`, {}), 204)
    identityGroupId = expectStatus(await mia.post<{ id: string }>('/v1/identity-groups', { organizationId, name: 'imported' }), 201).id
  }, 120_000)
  afterAll(() => rm(folder, { recursive: true, force: true }))

  /** Runs `leasehold import legacy` on the stack of this test. */
  function importLegacy(
    args: readonly string[],
    input = '',
    user = 'mia',
  ): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
    const env = { PATH: process.env['PATH'], LEASEHOLD_HOME: stack.home }
    const child = spawn(process.execPath, [entry, 'import', 'legacy', '--organization', organizationId, '--as', user, ...args], { env })
    const said = { out: '', err: '' }
    child.stdout.on('data', (chunk) => (said.out += chunk))
    child.stderr.on('data', (chunk) => (said.err += chunk))
    child.stdin.end(input)
    return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...said })))
  }
  const line = (name: string, more: object = {}): string =>
    JSON.stringify({
      identityGroupId,
      name,
      username: 'app',
      credentialType: 'password',
      encryptionVersion: 0,
      ciphertext: legacyVersion0(`value of ${name}`),
      ...more,
    })

  test('a file of legacy rows is imported in batches, read, and closed for good, by command', async () => {
    const file = path.join(folder, 'rows.jsonl')
    const names = Array.from({ length: 60 }, (_, index) => `row ${index}`)
    await writeFile(file, `${names.map((name) => line(name)).join('\n')}\n\n`)
    expect(await importLegacy([file])).toMatchObject({ code: 1, out: '', err: expect.stringContaining('409 This organization is not open for legacy rows') })
    expect(await importLegacy([file, '--open'])).toEqual({ code: 0, out: '60 imported; 60 of version 0 and 0 of version 1 not read since; open\n', err: '' })
    // The same file once more is the same import.
    expect(await importLegacy([file])).toMatchObject({ code: 0, out: expect.stringMatching(/^60 imported; 60 of version 0/) })
    const { items } = expectStatus(await mia.get<{ items: { id: string; name: string }[] }>(`/v1/identities?identityGroupId=${identityGroupId}&limit=200`), 200)
    expect(items).toHaveLength(60)
    const shown = expectStatus(await mia.post<{ value: string }>(`/v1/identities/${items[7]?.id}/reveal`, {}), 200)
    expect(shown.value).toBe(`value of ${items[7]?.name}`)
    expect(await importLegacy(['--close'])).toEqual({ code: 0, out: '0 imported; 59 of version 0 and 0 of version 1 not read since; closed\n', err: '' })
    expect(await importLegacy(['-', '--open'], line('late'))).toMatchObject({ code: 1, err: expect.stringContaining('that is final') })
  }, 120_000)

  test('what is wrong is named without a byte of it, and who may not is refused', async () => {
    organizationId = expectStatus(await mia.post<{ id: string }>('/v1/organizations', { name: 'faulty' }), 201).id
    expectStatus(await mia.put(`/v1/organizations/${organizationId}/secret`, {}), 204)
    identityGroupId = expectStatus(await mia.post<{ id: string }>('/v1/identity-groups', { organizationId, name: 'imported' }), 201).id
    const broken = await importLegacy(['--open'], '{"ciphertext": "canary')
    expect(broken).toMatchObject({ code: 1, err: 'a line of the file is not JSON\n' })
    const refused = await importLegacy([], `${line('good')}\n${line('bad', { encryptionVersion: 1, ciphertext: 'canarycanary' })}\n`)
    expect(refused).toMatchObject({ code: 1, out: '', err: expect.stringContaining('0 imported; then, counted from 0 after those: 422') })
    expect(refused.err).toContain('rows.1.ciphertext must open')
    expect(refused.err).not.toContain('canary')
    expect(await importLegacy([], line('good'), 'sam')).toMatchObject({ code: 1, out: '', err: expect.stringContaining('403') })
  }, 120_000)
}
