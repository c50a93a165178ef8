import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Starts a program for which chpasswd remembers passwords (pam_pwhistory); for everybody else this machine stays as it is. */
export interface PasswordHistory {
  /** To be put before the program's own words. */
  readonly command: readonly string[]
  readonly end: () => void
}

const rules = ['requisite pam_pwhistory.so enforce_for_root remember=5', 'sufficient pam_unix.so use_authtok', 'required pam_deny.so']
const [module, configuration, store] = ['pam_pwhistory.so', '/etc/pam.d/chpasswd', '/etc/security'] as const

/** @returns why this machine cannot have one */
export function passwordHistory(): PasswordHistory | string {
  if (!existsSync(configuration) || !existsSync(store) || !hasModule()) return `not installed: PAM for chpasswd, or ${module}`
  if (spawnSync('/usr/bin/unshare', ['--mount', 'true']).status !== 0) return 'no mount namespace of its own is allowed'
  const folder = mkdtempSync(path.join(tmpdir(), 'leasehold-pam-'))
  cpSync(store, path.join(folder, 'security'), { recursive: true })
  writeFileSync(path.join(folder, 'chpasswd'), rules.map((rule) => `password ${rule}\n`).join(''))
  const script = `mount --bind ${folder}/security ${store} && mount --bind ${folder}/chpasswd ${configuration} && exec "$@"`
  return { command: ['/usr/bin/unshare', '--mount', 'sh', '-c', script, 'sh'], end: () => rmSync(folder, { recursive: true, force: true }) }
}

const hasModule = (): boolean =>
  ['/lib/security', '/lib64/security', '/usr/lib/security', ...['/lib', '/usr/lib'].flatMap(architectures)].some((place) =>
    existsSync(path.join(place, module)),
  )

const architectures = (place: string): string[] => readdirSync(place).map((name) => path.join(place, name, 'security'))
