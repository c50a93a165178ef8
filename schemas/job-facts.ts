import type { ConnectorId, HostId, IdentityId, JobId, OrganizationId } from './ids.ts'
import type { Sealed } from './sealed.ts'
import type { WorkKind } from './states.ts'
import type { VaultKeyRef } from './vault-key-ref.ts'

/** What may be offered to a connector now. */
export interface OfferFacts {
  readonly jobId: JobId
  readonly organizationId: OrganizationId
  readonly connectorId: ConnectorId
  readonly kind: WorkKind
  /** The epoch that a claim of this offer will have. */
  readonly epoch: number
}

/** A stored value and where its key comes from. */
export interface SealedCredential {
  readonly identityId: IdentityId
  readonly version: number
  readonly sealed: Sealed
  /** The key that it names; for one from before vault keys the newest, under which it is sealed next. */
  readonly vaultKey: VaultKeyRef
  /** Whether a value from before vault keys may be read. */
  readonly legacyOpen: boolean
}

/** Answer to a claim that was granted: sealed values only, the bridge opens them after the commit. */
export interface ClaimFacts {
  readonly jobId: JobId
  readonly organizationId: OrganizationId
  readonly connectorId: ConnectorId
  readonly kind: WorkKind
  readonly epoch: number
  /** ms until the claim lapses. */
  readonly holdMs: number
  readonly encryptionJwk: { readonly kty: 'OKP'; readonly crv: 'X25519'; readonly x: string; readonly kid: string }
  readonly target: {
    readonly hostId: HostId
    readonly address: string
    readonly port: number
    readonly adapter: string
    readonly parameters: Readonly<Record<string, unknown>>
  }
  readonly username: string
  /** What the account shall have, or may have after a doubt; of a check what it is known to have. */
  readonly staged: SealedCredential
  /** What the host is known to have had before; null: nobody knows, or it is a check. */
  readonly known: SealedCredential | null
  readonly admin: (SealedCredential & { readonly username: string }) | null
}

/** Why a claim was not granted. `later`: a lease holds the identity. `gone`: final, another instance holds it, or another epoch. */
export interface ClaimRefusal {
  readonly refused: 'later' | 'gone'
}

/**
 * What a connector says of a job. confirmed: the new value logs in; unchanged: the old value still holds and the target
 * refused or was never asked; unknown: nobody can tell. Of a check: confirmed, the value logs in, or unknown.
 */
export interface JobReport {
  readonly jobId: JobId
  readonly epoch: number
  readonly instance: string
  readonly connectorId: ConnectorId
  readonly outcome: 'confirmed' | 'unchanged' | 'unknown'
  /** Class of the failure, from the adapter's list; null when confirmed. */
  readonly reasonClass: string | null
  /** Probe: which of the two values logged in. */
  readonly stagedLogsIn: boolean | null
  readonly knownLogsIn: boolean | null
}
