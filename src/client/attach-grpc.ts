import { MESSAGE_BYTES_MAX_DEFAULT } from '../codec/grpc/index.ts'
import type { Timer } from '../lib/clock.ts'
import { Turn } from '../lib/turn.ts'
import { connect, type ConnectTls, SlabPool, type Transport } from '../net/index.ts'
import type { Attached, Channel, ProviderSpec } from './channel.ts'
import { GrpcLink } from './grpc-link.ts'
import {
  CLOSE_GRACE_MS,
  CONNECT_TIMEOUT_MS,
  RECONNECT_FACTOR,
  RECONNECT_FIRST_MS,
  RECONNECT_MAX_MS,
} from './limits.ts'

export interface AttachGrpcOptions {
  /** To the broker. */
  readonly channel: Channel
  readonly spec: ProviderSpec
  /** Calls at once. */
  readonly capacity: number
  /** The gRPC server. */
  readonly host: string
  readonly port: number
  readonly tls?: ConnectTls
  readonly messageBytesMax?: number
  /** The server takes calls, and the broker gives them. */
  readonly onAttached?: () => void
  /** The server or the broker does not, and why; it is tried again. */
  readonly onDetached?: (reason: string) => void
}

/** A gRPC server that provides services through a broker, until it is closed. */
export interface AttachedGrpc extends AsyncDisposable {
  /** Takes no new calls and waits, at most for `graceMs` (10 s), until those it has have ended. */
  close(graceMs?: number): Promise<void>
}

/**
 * Stands in front of an unmodified gRPC server: registers its services with the broker while the
 * server can be reached, and hands each call on. A server that is lost is detached at once, so that
 * calls go elsewhere or end with UNAVAILABLE, and connected to again.
 */
export function attachGrpc(options: AttachGrpcOptions): AttachedGrpc {
  return new Upstream(options)
}

class Upstream implements AttachedGrpc {
  readonly #options: AttachGrpcOptions
  readonly #turn = new Turn()
  readonly #slabs = new SlabPool()
  readonly #links = new Set<GrpcLink>()
  #attached: Attached | null = null
  #waitMs = RECONNECT_FIRST_MS
  #timer: Timer | null = null
  #isClosed = false
  #onIdle: (() => void) | null = null

  constructor(options: AttachGrpcOptions) {
    this.#options = options
    this.#connect()
  }

  grpcReady(link: GrpcLink): void {
    if (this.#isClosed) return link.close()
    this.#waitMs = RECONNECT_FIRST_MS
    const { channel, spec, capacity, onAttached, onDetached } = this.#options
    const attached = channel.attach(spec, link, capacity)
    this.#attached = attached
    attached.ready.then(
      () => onAttached?.(),
      (error: unknown) => onDetached?.(error instanceof Error ? error.message : String(error)),
    )
  }

  grpcLeaving(): void {
    this.#detach('the server is stopping')
    this.#again()
  }

  grpcLost(link: GrpcLink, reason: string): void {
    this.#links.delete(link)
    this.#detach(reason)
    this.#again()
  }

  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    this.#attached?.detach()
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#options.channel.clock.setTimer(graceMs, resolve)
    this.#onIdle = (): void => {
      if ([...this.#links].every(({ callCount }) => callCount === 0)) resolve()
    }
    this.#onIdle()
    await promise
    timer.cancel()
    for (const link of this.#links) link.close()
  }

  grpcCallEnded(): void {
    this.#onIdle?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #detach(reason: string): void {
    if (this.#attached === null || this.#isClosed) return
    this.#attached.detach()
    this.#attached = null
    this.#options.onDetached?.(reason)
  }

  #connect(): void {
    this.#timer = null
    const { host, port, tls, channel, messageBytesMax } = this.#options
    const accept = (transport: Transport): GrpcLink => {
      const link = new GrpcLink(transport, {
        ...{ clock: channel.clock, turn: this.#turn, slabs: this.#slabs, owner: this },
        authority: `${host.includes(':') ? `[${host}]` : host}:${port}`,
        scheme: tls === undefined ? 'http' : 'https',
        messageBytesMax: messageBytesMax ?? MESSAGE_BYTES_MAX_DEFAULT,
      })
      this.#links.add(link)
      return link
    }
    connect({
      ...{ name: 'grpc', host, port, timeoutMs: CONNECT_TIMEOUT_MS },
      protocol: { name: 'grpc', accept },
      ...(tls === undefined ? {} : { tls: { ...tls, alpn: ['h2'] } }),
    }).catch((error: unknown) => {
      if (this.#isClosed) return
      this.#options.onDetached?.(error instanceof Error ? error.message : String(error))
      this.#again()
    })
  }

  #again(): void {
    if (this.#isClosed || this.#timer !== null) return
    const { clock, random } = this.#options.channel
    const waitMs = this.#waitMs * (0.8 + random.integer(1000) / 2500)
    this.#waitMs = Math.min(this.#waitMs * RECONNECT_FACTOR, RECONNECT_MAX_MS)
    this.#timer = clock.setTimer(waitMs, () => this.#connect())
  }
}
