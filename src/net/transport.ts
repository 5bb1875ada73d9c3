/**
 * What a protocol sees of a socket, and what it gives back to the layer that owns the socket.
 *
 * Nothing here knows a protocol: bytes come in, bytes go out, and whoever is too slow is told so.
 */

/** One per protocol, shared by all its listeners, plain and TLS. */
export interface ProtocolHandler {
  /** For logs and listings, such as `amqp-0-9-1`. */
  readonly name: string
  /** Called once per accepted socket; with TLS, after the handshake. */
  accept(transport: Transport): ConnectionHandler
}

/** One connection's protocol side. `closed` comes exactly once and is the last call. */
export interface ConnectionHandler {
  /** `bytes` are borrowed: they may be overwritten after the call. */
  received(bytes: Buffer): void
  /** Everything written so far was taken by the kernel, after a `write` that said false. */
  drained(): void
  /** The peer will send nothing more. Once what came is dealt with: `transport.end()`. */
  ended(): void
  closed(error: Error | null): void
  /** A graceful stop: say goodbye in the protocol's own way, then `transport.end()`. */
  shutdown(reason: string): void
}

/** One accepted socket. All calls after its end do nothing. */
export interface Transport {
  /** Unique in the process. */
  readonly id: number
  readonly peer: PeerInfo
  /** Bytes that were written and are not in the kernel yet. */
  readonly pendingBytes: number
  /**
   * True: the kernel has it all and `bytes` may be used again at once. False: `bytes` belong to
   * the transport until `drained`; the writer should hold back, nothing is refused.
   */
  write(bytes: Uint8Array): boolean
  /** Stops reading; bytes already on their way inside the process wait with the socket. */
  pause(): void
  resume(): void
  /** Flushes, says end of stream, and closes after `LINGER_MS` whatever the peer does. */
  end(): void
  /** Closes now; what is not in the kernel yet is lost. */
  destroy(error?: Error): void
}

export interface PeerInfo {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  /** Name of the listener that accepted the socket. */
  readonly listener: string
  /** Null without TLS. */
  readonly tls: PeerTls | null
}

export interface PeerTls {
  /** Such as `TLSv1.3`. */
  readonly protocol: string
  readonly cipher: string
  /** True when the peer showed a certificate that one of our authorities signed. */
  readonly peerVerified: boolean
  /** `CN=alice,O=example`, most significant last; null without a certificate. */
  readonly subject: string | null
  readonly commonName: string | null
  /** Which user the certificate is of, as the listener names them; null: nobody. */
  readonly userName: string | null
  readonly issuer: string | null
}

/** Where the layer writes what an operator should know. */
export interface NetLog {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}
