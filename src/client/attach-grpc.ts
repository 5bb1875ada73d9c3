import type { ConnectTls } from '../net/index.ts'
import type { Callee } from '../rpc/call.ts'
import type { Attached, Channel, ProviderSpec } from './channel.ts'
import { GrpcConnector } from './grpc-connector.ts'
import type { GrpcLink } from './grpc-link.ts'
import { CLOSE_GRACE_MS } from './limits.ts'
import { serverDescriptors } from './server-descriptors.ts'
import { DescribedServer } from './described-server.ts'

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
 * server can be reached, and hands each call on. A server with reflection is asked for its
 * descriptors first, so that the broker shows them and callers may speak JSON. A server that is lost is detached at once, so that
 * calls go elsewhere or end with UNAVAILABLE, and connected to again.
 */
export function attachGrpc(options: AttachGrpcOptions): AttachedGrpc {
  return new Upstream(options)
}

class Upstream implements AttachedGrpc {
  readonly #options: AttachGrpcOptions
  readonly #connector: GrpcConnector
  #attached: Attached | null = null
  /** The one that is ready. */
  #link: GrpcLink | null = null
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
    this.#link = link
    const { channel, spec } = this.#options
    void serverDescriptors(link, channel.clock, spec.services).then((descriptors) => {
      // It may be lost, or another one be ready, since it was asked.
      if (this.#link === link && !this.#isClosed) this.#attach(link, descriptors)
    })
  }

  #attach(link: GrpcLink, descriptors: Uint8Array | null): void {
    const { channel, spec, capacity, onAttached, onDetached } = this.#options
    const described = descriptors === null ? null : DescribedServer.of(link, spec, descriptors)
    const callee: Callee = described ?? link
    const attached = channel.attach(described?.spec ?? spec, callee, capacity)
    this.#attached = attached
    attached.ready.then(
      () => onAttached?.(),
      (error: unknown) => onDetached?.(error instanceof Error ? error.message : String(error)),
    )
  }

  linkGone(reason: string): void {
    this.#link = null
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
