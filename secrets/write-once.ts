import { OpenBaoRefusal } from './bao-request.ts'
import type { BaoPath, OpenBao } from './openbao.ts'

/**
 * Writes the first version of a KV v2 entry, or leaves the one that is there. Check-and-set 0 refuses to overwrite, and the
 * policies give no right to update, so an existing entry answers 400 or 403.
 */
export async function writeOnce(bao: OpenBao, path: BaoPath, data: object): Promise<void> {
  try {
    await bao.write(path, { options: { cas: 0 }, data })
  } catch (error) {
    if (!(error instanceof OpenBaoRefusal) || (await bao.read(path)) === undefined) throw error
  }
}
