import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { openHome, type Home } from '#stack/home.ts'

/** A home for the servers of one test file. */
export interface TemporaryHome extends Home {
  readonly remove: () => Promise<void>
}

export function openTemporaryHome(): TemporaryHome {
  const home = openHome(mkdtempSync(path.join(os.tmpdir(), 'leasehold-home-')))
  return {
    ...home,
    remove: async () => {
      for (const folder of new Set([home.path, home.postgresPlace])) await rm(folder, { recursive: true, force: true })
    },
  }
}
