// The library of certificates looks for it when it is loaded.
// oxlint-disable-next-line import/no-unassigned-import
import 'reflect-metadata'
import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
  AuthorityKeyIdentifierExtension,
  SubjectKeyIdentifierExtension,
} from '@peculiar/x509'
import { readJson, writePrivate, type Home } from './home.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const day = 86_400_000

/** A certificate authority of our own, as PEM. */
export interface Authority {
  readonly cert: string
  readonly key: string
}

export interface Issued {
  /** PEM. */
  readonly cert: string
  /** PEM, PKCS #8. */
  readonly key: string
}

export async function createAuthority(name: string): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 3_650 * day),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: certificate.toString('pem'), key: await privatePem(keys.privateKey) }
}

/**
 * Issues a certificate (RFC 5280) for a server or a client.
 *
 * @param names host names and addresses
 * @param life days from now; negative: it has ended already
 */
export async function issue(authority: Authority, names: readonly string[], life = 90): Promise<Issued> {
  const [keys, signingKey] = await Promise.all([crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']), privateKey(authority.key)])
  const issuer = new X509Certificate(authority.cert)
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${names[0] ?? 'nobody'}`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - Math.max(1, 1 - life) * day),
    notAfter: new Date(Date.now() + life * day),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value }))),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  return { cert: certificate.toString('pem'), key: await privatePem(keys.privateKey) }
}

/** Where the stack keeps its authority, and the certificate of its API, which is made anew at every start. */
export interface StackCertificates {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
}

export const certificateFiles = (home: Home): StackCertificates => ({
  caFile: home.file('tls', 'ca.pem'),
  certFile: home.file('tls', 'api.pem'),
  keyFile: home.file('tls', 'api.key'),
})

export async function writeCertificates(home: Home): Promise<void> {
  const file = home.file('tls', 'authority.json')
  if (!existsSync(file)) writePrivate(file, await createAuthority(`${home.stackId} development`))
  const authority = readJson<Authority>(file)
  const { cert, key } = await issue(authority, ['localhost', '127.0.0.1'])
  const { caFile, certFile, keyFile } = certificateFiles(home)
  writePrivate(caFile, authority.cert)
  writePrivate(certFile, cert)
  writePrivate(keyFile, key)
}

const privatePem = async (key: CryptoKey): Promise<string> => PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')

const privateKey = (pem: string): Promise<CryptoKey> => crypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(pem), algorithm, false, ['sign'])
