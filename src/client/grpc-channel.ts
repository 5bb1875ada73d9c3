import { type Clock, systemClock } from '../lib/clock.ts'
import { Deadlines } from '../lib/deadlines.ts'
import { type RandomSource, systemRandom } from '../lib/random.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
} from '../rpc/call.ts'
import { hopDetail } from '../rpc/hop.ts'
import { Metadata } from '../rpc/metadata.ts'
import { RpcError, type Status, statusOf } from '../rpc/status.ts'
import type { Attached, Channel } from './channel.ts'
import { GrpcConnector } from './grpc-connector.ts'
import { PENDING_CALLS_MAX } from './limits.ts'
import { PendingCall } from './pending-call.ts'
import type { ConnectHooks, ConnectOptions } from './remote-channel.ts'
import { readGrpcTarget } from './target.ts'

/**
 * A channel to a gRPC server, whoever made it, at `grpc://HOST:PORT` or `grpcs:`. It connects as
 * channels to a broker do, and only makes calls: nobody can attach to it.
 */
export class GrpcChannel implements Channel {
  readonly clock: Clock
  readonly random: RandomSource
  readonly deadlines: Deadlines
  readonly #connector: GrpcConnector
  readonly #options: ConnectOptions
  readonly #hooks: ConnectHooks | null
  readonly #pending = new Set<PendingCall>()
  #link: Callee | null = null
  #isClosed = false
  #lastError = 'no connection yet'

  constructor(url: string, options: ConnectOptions, hooks: ConnectHooks | null) {
    const { host, port, tls, fields } = readGrpcTarget(url, options)
    this.clock = options.clock ?? systemClock
    this.random = options.random ?? systemRandom
    this.deadlines = new Deadlines(this.clock)
    this.#options = options
    this.#hooks = hooks
    this.#connector = new GrpcConnector({
      ...{ clock: this.clock, random: this.random, host, port, fields, owner: this },
      tls: tls ? (options.tls ?? {}) : undefined,
      messageBytesMax: options.messageBytesMax,
      compression: options.compression,
      token: options.token,
    })
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    if (this.#link !== null) return this.#link.open(head, reply)
    if (this.#isClosed) return refuse(reply, unsent('the channel is closed'))
    if (!this.#connector.isConnecting) return refuse(reply, unsent(this.#lastError))
    if (this.#pending.size >= PENDING_CALLS_MAX) {
      const text = `${PENDING_CALLS_MAX} calls wait for the connection, which is the limit`
      return refuse(reply, { ...unsent(text), code: 'RESOURCE_EXHAUSTED' })
    }
    const call = new PendingCall(head, reply, this.#pending)
    this.#pending.add(call)
    return call
  }

  attach(): Attached {
    const ready = Promise.reject(
      new RpcError('UNIMPLEMENTED', 'a gRPC server takes no providers; serve through a broker'),
    )
    ready.catch(() => {})
    return { ready, setCapacity: () => {}, detach: () => {} }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#link = null
    this.#connector.close()
    this.#failPending('the channel is closed')
    this.deadlines.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // --- of the connector ---

  linkReady(link: Callee): void {
    this.#link = link
    this.#hooks?.ready()
    for (const call of [...this.#pending]) call.go(link)
  }

  linkGone(reason: string): void {
    this.#link = null
    this.#lastError = reason
    this.#failPending(reason)
    const error = new RpcError('UNAVAILABLE', reason)
    this.#hooks?.gone(error)
    this.#options.onLost?.(error)
  }

  callEnded(): void {}

  #failPending(reason: string): void {
    for (const call of [...this.#pending]) call.fail(unsent(reason))
  }
}

function refuse(reply: ReplySink, status: Status): RequestSink {
  reply.status(status, Metadata.EMPTY)
  return CLOSED_REQUEST
}

/** It never left this process, so it may be made again. */
function unsent(text: string): Status {
  return statusOf('UNAVAILABLE', text, [hopDetail({ stage: 'queued', provider: '', waitedMs: 0 })])
}
