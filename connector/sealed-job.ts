import { createHash } from 'node:crypto'
import { compactDecrypt, compactVerify, createLocalJWKSet, importJWK, type JSONWebKeySet } from 'jose'
import type { z } from 'zod'
import { JobDigest, jobType, SealedJob } from '#schemas/connector-message.ts'
import type { IdentityFile } from './identity-file.ts'

export interface Recipient {
  readonly connectorId: string
  readonly encryptionKey: IdentityFile['encryptionKey']
  /** Public keys of the control plane. */
  readonly signingKeys: JSONWebKeySet
}

/**
 * Opens the answer to a claim. Whom and what a job is for, where it goes and what it says there are believed only when the control
 * plane has signed them (RFC 7515): our public key, to which anybody could seal something, is no secret.
 *
 * @throws Error for what is not ours to open, not signed, malformed, or another connector's, job's or epoch's; never with its content
 */
export async function openSealedJob(
  { connectorId, encryptionKey, signingKeys }: Recipient,
  jwe: string,
  { jobId, epoch }: { readonly jobId: string; readonly epoch: number },
): Promise<SealedJob> {
  const key = await importJWK(encryptionKey, 'ECDH-ES+A256KW')
  const opened = await compactDecrypt(jwe, key, { keyManagementAlgorithms: ['ECDH-ES+A256KW'], contentEncryptionAlgorithms: ['A256GCM'] })
  const [, jws = '', text = ''] = /^([^\n]*)\n(.*)$/s.exec(new TextDecoder().decode(opened.plaintext)) ?? []
  const { payload, protectedHeader } = await compactVerify(jws, createLocalJWKSet(signingKeys), { algorithms: ['EdDSA'] })
  if (protectedHeader.typ !== jobType) throw new Error('the sealed job is signed as something else')
  const signed = parsed(JobDigest, new TextDecoder().decode(payload))
  if (signed.digest !== createHash('sha256').update(text).digest('base64url')) throw new Error('the sealed job is not the one that was signed')
  const job = parsed(SealedJob, text)
  for (const said of [signed, job]) {
    if (said.jobId !== jobId || said.epoch !== epoch || said.connectorId !== connectorId) throw new Error('the sealed job is another one')
  }
  return job
}

/** The faults of a secret message are not for the log: only where they are. */
function parsed<T>(shape: z.ZodType<T>, text: string): T {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    throw new Error('the sealed job is no JSON')
  }
  const { data, error } = shape.safeParse(message)
  if (error !== undefined) throw new Error(`the sealed job is malformed at ${error.issues.map((issue) => issue.path.join('.')).join(', ')}`)
  return data as T
}
