import { homePath, readHome, readJson } from '#stack/home.ts'

interface LocalStack {
  readonly urls: { readonly api: string; readonly issuer: string }
}

/**
 * Base URL of the API, without trailing slash: as told, from LEASEHOLD_API_URL, as known before, or of the stack of this machine.
 *
 * @throws Error when there is none of them
 */
export const apiPlace = (told?: string, known?: string): string => (told ?? process.env['LEASEHOLD_API_URL'] ?? known ?? ofLocalStack('api')).replace(/\/$/, '')

/** The exact `iss`, likewise from LEASEHOLD_OIDC_ISSUER. */
export const issuerPlace = (told?: string, known?: string): string => told ?? process.env['LEASEHOLD_OIDC_ISSUER'] ?? known ?? ofLocalStack('issuer')

function ofLocalStack(name: keyof LocalStack['urls']): string {
  const home = readHome(homePath())
  if (home === undefined)
    throw new Error(name === 'api' ? 'say where the API is: --api or LEASEHOLD_API_URL' : 'say who logs people in: --issuer or LEASEHOLD_OIDC_ISSUER')
  return readJson<LocalStack>(home.file('state.json')).urls[name]
}
