import type { ConnectTls } from '../net/index.ts'
import type { Attached, Channel, ProviderSpec } from './channel.ts'
import { GrpcConnector } from './grpc-connector.ts'
import type { GrpcLink } from './grpc-link.ts'
import { CLOSE_GRACE_MS } from './limits.ts'

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
  readonly #connector: GrpcConnector
  #attached: Attached | null = null
  #isClosed = false
  #onIdle: (() => void) | null = null

  constructor(options: AttachGrpcOptions) {
    this.#options = options
    const { channel, host, port, tls, messageBytesMax } = options
    const { clock, random } = channel
    this.#connector = new GrpcConnector({
      ...{ clock, random, host, port, tls, messageBytesMax, owner: this },
    })
  }

  linkReady(link: GrpcLink): void {
    const { channel, spec, capacity, onAttached, onDetached } = this.#options
    const attached = channel.attach(spec, link, capacity)
    this.#attached = attached
    attached.ready.then(
      () => onAttached?.(),
      (error: unknown) => onDetached?.(error instanceof Error ? error.message : String(error)),
    )
  }

  linkGone(reason: string): void {
    this.#attached?.detach()
    this.#attached = null
    this.#options.onDetached?.(reason)
  }

  callEnded(): void {
    this.#onIdle?.()
  }

  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#connector.stop()
    this.#attached?.detach()
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#options.channel.clock.setTimer(graceMs, resolve)
    this.#onIdle = (): void => {
      if (this.#connector.isIdle) resolve()
    }
    this.#onIdle()
    await promise
    timer.cancel()
    this.#connector.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
