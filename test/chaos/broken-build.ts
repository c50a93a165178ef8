import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** A promise of the product that a build breaks, by a few lines that are other ones in its copy of the sources. */
interface Fault {
  readonly edits: readonly { readonly file: string; readonly from: string; readonly to: string }[]
  /** Words in the name of the cells that must see it. */
  readonly caughtBy: string
}

export const faults: Readonly<Record<string, Fault>> = {
  /** The connector says that the new value is proven, and has not logged in with it. */
  'promote-before-verify': {
    edits: [
      {
        file: 'connector/run-job.ts',
        from: `const outcome = await prove(job, adapter, change.change === 'applied' ? 'verify-failed' : change.reasonClass)`,
        to: `const outcome: JobOutcome = { outcome: 'confirmed', reasonClass: null, stagedLogsIn: true, knownLogsIn: null }`,
      },
    ],
    caughtBy: 'the line to the target is cut at: job applying',
  },
  /** The vault gives out the new value as soon as a connector has claimed the job. */
  'promote-at-claim': {
    edits: [
      {
        file: 'store/claim-job.ts',
        from: `with fenced as (`,
        to: 'with promoted as (update identity_host set known_version = ${job.staged_version}::int where identity_id = ${job.identity_id}::uuid and host_id = ${job.host_id}::uuid), fenced as (',
      },
    ],
    caughtBy: 'connector dies at: job applying',
  },
  /** A result is taken whatever its epoch, its instance, and what has become of its job and rotation. */
  'no-fence-for-results': {
    edits: [
      {
        file: 'store/report-job.ts',
        from: "c.state = 'active' and j.epoch = ${report.epoch}::int\n      and j.instance = ${report.instance}::uuid and j.state in ('claimed', 'doubt') and r.state = 'pending'\n      and not ${report.epoch}::int = any(j.reported_epochs)`",
        to: "c.state = 'active'`",
      },
    ],
    caughtBy: 'says an older one again',
  },
  /** A claim is granted whatever has become of its job and rotation; and what a cancelled rotation made is kept, without which there is nothing to grant. */
  'no-fence-for-claims': {
    edits: [
      {
        file: 'store/claim-job.ts',
        from: `if ((job.state !== 'waiting' && job.state !== 'doubt') || job.epoch + 1 !== claim.epoch) return { refused: 'gone' }`,
        to: `if ((job.state !== 'waiting' && job.state !== 'doubt') || job.epoch + 1 !== claim.epoch) return answer(trx, { ...job, epoch: claim.epoch, hold_ms: claimHold })`,
      },
      {
        file: 'store/claim-job.ts',
        from: ` and r.state = 'pending' and r.staged_version is not null`,
        to: ` and r.staged_version is not null`,
      },
      {
        file: 'store/credential.ts',
        from: `update credential_version c set ciphertext = null where`,
        to: `update credential_version c set ciphertext = null where false and`,
      },
    ],
    caughtBy: 'an offer arrives after its rotation was cancelled',
  },
}

export interface BrokenBuild {
  /** Root of its sources. */
  readonly folder: string
  readonly caughtBy: string
  readonly remove: () => void
}

const root = path.join(import.meta.dirname, '../..')
const copied = readdirSync(root, { withFileTypes: true }).filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')

/**
 * Makes a copy of the sources with this fault in it. Nothing in the product knows of faults.
 *
 * @throws Error when there is no such fault, or the sources have no longer what it replaces
 */
export function brokenBuild(name: string): BrokenBuild {
  const fault = faults[name]
  if (fault === undefined) throw new Error(`no fault is called '${name}': ${Object.keys(faults).join(', ')}`)
  const folder = mkdtempSync(path.join(tmpdir(), 'leasehold-broken-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    for (const entry of copied) cpSync(path.join(root, entry.name), path.join(folder, entry.name), { recursive: true })
    symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
    for (const { file, from, to } of fault.edits) {
      const text = readFileSync(path.join(folder, file), 'utf8')
      if (text.split(from).length !== 2) throw new Error(`${file} has not once what '${name}' replaces`)
      writeFileSync(
        path.join(folder, file),
        text.replace(from, () => to),
      )
    }
    return { folder, caughtBy: fault.caughtBy, remove }
  } catch (error) {
    remove()
    throw error
  }
}
