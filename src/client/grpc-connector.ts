import { MESSAGE_BYTES_MAX_DEFAULT } from '../codec/grpc/index.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import type { RandomSource } from '../lib/random.ts'
import { Turn } from '../lib/turn.ts'
import { connect, type ConnectTls, SlabPool, type Transport } from '../net/index.ts'
import type { Compression } from '../rpc/grpc/index.ts'
import { GrpcLink } from './grpc-link.ts'
import {
  CONNECT_TIMEOUT_MS,
  RECONNECT_FACTOR,
  RECONNECT_FIRST_MS,
  RECONNECT_MAX_MS,
} from './limits.ts'
import { type LoginToken, TokenKeeper } from './login-token.ts'

export interface GrpcConnectorOptions {
  readonly clock: Clock
  readonly random: RandomSource
  readonly host: string
  readonly port: number
  readonly tls?: ConnectTls | undefined
  /** Sent with each request beside the call's own; names and values in turn. */
  readonly fields?: readonly string[]
  /** Goes in `authorization`. */
  readonly token?: LoginToken | undefined
  readonly messageBytesMax?: number | undefined
  readonly compression?: Compression | undefined
  readonly owner: {
    /** Calls may be made on it. */
    linkReady(link: GrpcLink): void
    /** The link that was ready is so no more, or an attempt has failed; another one follows. */
    linkGone(reason: string): void
    callEnded(): void
  }
}

/** Keeps a connection to a gRPC server, connecting again whenever it is lost or says goodbye. */
export class GrpcConnector {
  readonly #options: GrpcConnectorOptions
  readonly #tokens: TokenKeeper | null
  readonly #turn = new Turn()
  readonly #slabs = new SlabPool()
  readonly #links = new Set<GrpcLink>()
  #current: GrpcLink | null = null
  #isConnecting = false
  #waitMs = RECONNECT_FIRST_MS
  #timer: Timer | null = null
  #isClosed = false

  constructor(options: GrpcConnectorOptions) {
    this.#options = options
    const { token, clock } = options
    this.#tokens = token === undefined ? null : new TokenKeeper(token, clock)
    this.#connect()
  }

  /** An attempt is under way. */
  get isConnecting(): boolean {
    return this.#isConnecting
  }

  /** No call is open on any of its connections. */
  get isIdle(): boolean {
    return [...this.#links].every(({ callCount }) => callCount === 0)
  }

  /** Connects no more; what is open goes on until `close`. */
  stop(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#tokens?.close()
  }

  close(): void {
    this.stop()
    for (const link of this.#links) link.close()
  }

  // --- of links ---

  grpcReady(link: GrpcLink): void {
    if (this.#isClosed) return link.close()
    this.#isConnecting = false
    this.#waitMs = RECONNECT_FIRST_MS
    this.#current = link
    this.#options.owner.linkReady(link)
  }

  grpcLeaving(link: GrpcLink): void {
    if (this.#current === link) this.#gone('the server is stopping')
  }

  grpcLost(link: GrpcLink, reason: string): void {
    this.#links.delete(link)
    if (this.#current === link || this.#isConnecting) this.#gone(reason)
  }

  grpcCallEnded(): void {
    this.#options.owner.callEnded()
  }

  // --- inside ---

  #connect(): void {
    this.#timer = null
    this.#isConnecting = true
    if (this.#tokens === null) return this.#connectWith(null)
    this.#tokens.get().then(
      (token) => this.#connectWith(token),
      (error: unknown) => this.#gone(reasonOf(error)),
    )
  }

  #connectWith(token: string | null): void {
    if (this.#isClosed) return
    const { clock, host, port, tls, messageBytesMax, compression } = this.#options
    const accept = (transport: Transport): GrpcLink => {
      const link = new GrpcLink(transport, {
        ...{ clock, turn: this.#turn, slabs: this.#slabs, owner: this },
        authority: `${host.includes(':') ? `[${host}]` : host}:${port}`,
        scheme: tls === undefined ? 'http' : 'https',
        fields: this.#fieldsWith(token),
        compression: compression ?? null,
        messageBytesMax: messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
      })
      this.#links.add(link)
      if (token !== null) {
        this.#tokens!.renewAfter(token, (next) => link.setFields(this.#fieldsWith(next)))
      }
      return link
    }
    connect({
      ...{ name: 'grpc', host, port, timeoutMs: CONNECT_TIMEOUT_MS },
      protocol: { name: 'grpc', accept },
      ...(tls === undefined ? {} : { tls: { ...tls, alpn: ['h2'] } }),
    }).catch((error: unknown) => this.#gone(reasonOf(error)))
  }

  #fieldsWith(token: string | null): readonly string[] {
    const { fields = [] } = this.#options
    return token === null ? fields : [...fields, 'authorization', `Bearer ${token}`]
  }

  #gone(reason: string): void {
    this.#current = null
    this.#isConnecting = false
    if (this.#isClosed || this.#timer !== null) return
    const { clock, random, owner } = this.#options
    const waitMs = this.#waitMs * (0.8 + random.integer(1000) / 2500)
    this.#waitMs = Math.min(this.#waitMs * RECONNECT_FACTOR, RECONNECT_MAX_MS)
    this.#timer = clock.setTimer(waitMs, () => this.#connect())
    owner.linkGone(reason)
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
