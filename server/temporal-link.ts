import { createSecureContext } from 'node:tls'
import { credentials } from '@grpc/grpc-js'
import type { ConnectionOptions } from '@temporalio/client'
import type { NativeConnectionOptions } from '@temporalio/worker'
import { startTls13Guard } from './tls13-guard.ts'

/** How Temporal is reached. */
export interface TemporalAddress {
  /** host:port */
  readonly address: string
  /** undefined: without TLS, for dev mode on loopback. */
  readonly tls?: TemporalTls | undefined
}

export interface TemporalTls {
  /** Certificate authorities, PEM; undefined: those of the system. */
  readonly ca: string | undefined
  /** Name that the server's certificate has, where it is not the host of the address. */
  readonly serverName: string | undefined
  /** Our own certificate, where the server asks for one. */
  readonly client: { readonly cert: string; readonly key: string } | undefined
}

/** Options of the client, whose TLS is Node's. */
export function clientLink({ address, tls }: TemporalAddress): ConnectionOptions {
  if (tls === undefined) return { address }
  const { ca, serverName, client } = tls
  const context = createSecureContext({ minVersion: 'TLSv1.3', ...(ca === undefined ? {} : { ca }), ...client })
  const name = serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName }
  return { address, credentials: credentials.createFromSecureContext(context), channelArgs: name }
}

export interface NativeLink {
  readonly options: NativeConnectionOptions
  /** After the connection was closed. */
  close(): void
}

/** Options of the worker's connection, whose TLS is that of Temporal's core. */
export async function nativeLink({ address, tls }: TemporalAddress): Promise<NativeLink> {
  if (tls === undefined) return { options: { address }, close: () => {} }
  const { ca, serverName, client } = tls
  const guard = await startTls13Guard(address)
  return {
    options: {
      address,
      proxy: { type: 'http-connect', targetHost: guard.address },
      tls: {
        ...(ca === undefined ? {} : { serverRootCACertificate: Buffer.from(ca) }),
        ...(serverName === undefined ? {} : { serverNameOverride: serverName }),
        ...(client === undefined ? {} : { clientCertPair: { crt: Buffer.from(client.cert), key: Buffer.from(client.key) } }),
      },
    },
    close: guard.close,
  }
}
