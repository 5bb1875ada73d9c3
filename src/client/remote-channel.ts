import { type AttachFrame, MESSAGE_BYTES_MAX_DEFAULT } from '../codec/rpc/index.ts'
import { type Clock, systemClock, type Timer } from '../lib/clock.ts'
import { Deadlines } from '../lib/deadlines.ts'
import { type RandomSource, systemRandom } from '../lib/random.ts'
import { Turn } from '../lib/turn.ts'
import { connect, type ConnectTls, SlabPool } from '../net/index.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
  serviceOf,
} from '../rpc/call.ts'
import type { Compression } from '../rpc/grpc/index.ts'
import { hopDetail } from '../rpc/hop.ts'
import { Metadata } from '../rpc/metadata.ts'
import { RpcError, type Status, statusOf } from '../rpc/status.ts'
import type { Attached, Channel, ProviderSpec } from './channel.ts'
import { GrpcChannel } from './grpc-channel.ts'
import {
  CONNECT_TIMEOUT_MS,
  PENDING_CALLS_MAX,
  RECONNECT_FACTOR,
  RECONNECT_FIRST_MS,
  RECONNECT_MAX_MS,
} from './limits.ts'
import { Link, type LinkOwner } from './link.ts'
import { type LoginToken, TokenKeeper } from './login-token.ts'
import { PendingCall } from './pending-call.ts'
import { isGrpcUrl, readTarget, type Target } from './target.ts'

export interface ConnectOptions {
  /** In the place of those in the URL. */
  readonly user?: string
  readonly password?: string
  /**
   * A token of the identity provider, in the place of user and password; a function is asked for one
   * at each connection, and again before it ends.
   */
  readonly token?: LoginToken
  readonly vhost?: string
  /** With `rpcs:`, `wss:` and `grpcs:`; PEM texts. */
  readonly tls?: ConnectTls
  /** Who this is, for listings. */
  readonly name?: string
  /** The largest message that is taken. Default 4 MiB. */
  readonly messageBytesMax?: number
  /** With `grpc:` and `grpcs:`: how large messages are compressed. Default: not at all. */
  readonly compression?: Compression
  /** Told of each loss of the connection and why. */
  readonly onLost?: (error: RpcError) => void
  readonly clock?: Clock
  readonly random?: RandomSource
}

/**
 * A channel to a server at `rpc://USER:PASSWORD@HOST:PORT/VHOST`, or `rpcs:`, `ws:`, `wss:`, or to
 * any gRPC server at `grpc://HOST:PORT`, or `grpcs:`. It connects at once, and again whenever the connection is lost, each wait longer than the one before.
 * Calls made meanwhile wait for an attempt that is under way, and end at once between two of them.
 */
export function connectChannel(url: string, options: ConnectOptions = {}): Channel {
  return openChannel(url, options, null)
}

/** Told when calls can be made, and when they cannot any more or an attempt has failed. */
export interface ConnectHooks {
  ready(): void
  gone(error: RpcError): void
}

/** The hooks are not called before this has returned. */
export function openChannel(
  url: string,
  options: ConnectOptions,
  hooks: ConnectHooks | null,
): Channel {
  if (isGrpcUrl(url)) return new GrpcChannel(url, options, hooks)
  return new RemoteChannel(readTarget(url, options), options, hooks)
}

interface Provided {
  readonly id: number
  readonly spec: ProviderSpec
  readonly callee: Callee
  capacity: number
  readonly ready: PromiseWithResolvers<void>
}

class RemoteChannel implements Channel, LinkOwner {
  readonly clock: Clock
  readonly random: RandomSource
  readonly deadlines: Deadlines
  readonly #target: Target
  readonly #options: ConnectOptions
  readonly #hooks: ConnectHooks | null
  readonly #tokens: TokenKeeper | null
  readonly #turn = new Turn()
  readonly #slabs = new SlabPool()
  /** The one that is ready; null while there is none. */
  #link: Link | null = null
  readonly #links = new Set<Link>()
  #isConnecting = false
  #isClosed = false
  #waitMs = RECONNECT_FIRST_MS
  #timer: Timer | null = null
  #lastError = 'no connection yet'
  readonly #pending = new Set<PendingCall>()
  readonly #provided = new Map<number, Provided>()
  readonly #byService = new Map<string, Callee>()
  #lastAttachId = 0

  constructor(target: Target, options: ConnectOptions, hooks: ConnectHooks | null) {
    this.#target = target
    this.#options = options
    this.#hooks = hooks
    this.clock = options.clock ?? systemClock
    this.random = options.random ?? systemRandom
    this.deadlines = new Deadlines(this.clock)
    const { token } = options
    this.#tokens = token === undefined ? null : new TokenKeeper(token, this.clock)
    this.#connect()
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    if (this.#link !== null) return this.#link.peer.open(head, reply)
    if (this.#isClosed) return refuse(reply, unsent('the channel is closed'))
    if (!this.#isConnecting) return refuse(reply, unsent(this.#lastError))
    if (this.#pending.size >= PENDING_CALLS_MAX) {
      const text = `${PENDING_CALLS_MAX} calls wait for the connection, which is the limit`
      return refuse(reply, { ...unsent(text), code: 'RESOURCE_EXHAUSTED' })
    }
    const call = new PendingCall(head, reply, this.#pending)
    this.#pending.add(call)
    return call
  }

  attach(spec: ProviderSpec, callee: Callee, capacity: number): Attached {
    this.#lastAttachId += 1
    const id = this.#lastAttachId
    const ready = Promise.withResolvers<void>()
    // Whoever does not wait for it must not end the process by that.
    ready.promise.catch(() => {})
    const provided: Provided = { id, spec, callee, capacity, ready }
    this.#provided.set(id, provided)
    for (const service of spec.services) this.#byService.set(service, callee)
    this.#link?.attach(id, attachFrame(provided))
    return {
      ready: ready.promise,
      setCapacity: (changed) => {
        provided.capacity = changed
        this.#link?.setCapacity(id, changed)
      },
      detach: () => {
        if (this.#provided.delete(id)) this.#link?.detach(id)
      },
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    for (const link of [...this.#links]) link.close()
    this.#failPending('the channel is closed')
    for (const { ready } of this.#provided.values()) {
      ready.reject(new RpcError('CANCELLED', 'the channel is closed'))
    }
    this.deadlines.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  // --- of links ---

  linkReady(link: Link): void {
    this.#isConnecting = false
    this.#waitMs = RECONNECT_FIRST_MS
    this.#link = link
    this.#hooks?.ready()
    for (const provided of this.#provided.values()) {
      link.attach(provided.id, attachFrame(provided))
    }
    for (const call of [...this.#pending]) call.go(link.peer)
  }

  linkAttached(id: number, error: RpcError | null): void {
    const provided = this.#provided.get(id)
    if (provided === undefined) return
    if (error === null) provided.ready.resolve()
    else {
      this.#provided.delete(id)
      provided.ready.reject(error)
    }
  }

  linkDraining(link: Link): void {
    if (this.#link !== link) return
    this.#link = null
    this.#again('the server takes no more calls')
  }

  linkLost(link: Link, error: RpcError): void {
    this.#links.delete(link)
    const wasCurrent = this.#link === link || this.#isConnecting
    if (this.#link === link) this.#link = null
    if (this.#isClosed) return
    this.#options.onLost?.(error)
    if (wasCurrent) this.#again(error.message, error)
  }

  // --- inside ---

  #connect(): void {
    this.#isConnecting = true
    if (this.#tokens === null) return this.#connectWith(null)
    this.#tokens.get().then(
      (token) => this.#connectWith(token),
      (cause: unknown) => this.#unreached(cause),
    )
  }

  #connectWith(token: string | null): void {
    if (this.#isClosed) return
    const { host, port, tls, webSocket, ...login } = this.#target
    const { messageBytesMax = MESSAGE_BYTES_MAX_DEFAULT, name = '' } = this.#options
    const callee: Callee = { open: (head, reply) => this.#incoming(head, reply) }
    const protocol = {
      name: 'rpc',
      accept: (transport: ConstructorParameters<typeof Link>[0]): Link => {
        const link = new Link(transport, {
          ...login,
          ...{ clock: this.clock, turn: this.#turn, slabs: this.#slabs, callee, messageBytesMax },
          client: name,
          token,
          owner: this,
        })
        this.#links.add(link)
        if (this.#isClosed) link.close()
        return link
      },
    }
    connect({
      ...{ name: 'rpc', host, port, protocol, timeoutMs: CONNECT_TIMEOUT_MS },
      ...(tls ? { tls: this.#options.tls ?? {} } : {}),
      ...(webSocket === null ? {} : { webSocket: { path: webSocket, subprotocol: SUBPROTOCOL } }),
    }).catch((cause: unknown) => this.#unreached(cause))
  }

  #unreached(cause: unknown): void {
    const reason = cause instanceof Error ? cause.message : String(cause)
    if (this.#isClosed) return
    this.#options.onLost?.(new RpcError('UNAVAILABLE', reason, { cause }))
    this.#again(reason)
  }

  /** Connects again after a while. A refusal that will stay the same ends what waits at once. */
  #again(reason: string, error?: RpcError): void {
    this.#isConnecting = false
    this.#lastError = reason
    this.#hooks?.gone(error ?? new RpcError('UNAVAILABLE', reason))
    this.#failPending(reason, error)
    const waitMs = this.#waitMs * (0.8 + this.random.integer(1000) / 2500)
    this.#waitMs = Math.min(this.#waitMs * RECONNECT_FACTOR, RECONNECT_MAX_MS)
    this.#timer?.cancel()
    this.#timer = this.clock.setTimer(waitMs, () => this.#connect())
  }

  #failPending(reason: string, error?: RpcError): void {
    const status = { ...unsent(reason), code: error?.code ?? 'UNAVAILABLE' }
    for (const call of [...this.#pending]) call.fail(status)
  }

  #incoming(head: CallHead, reply: ReplySink): RequestSink {
    const name = serviceOf(head.path)
    const callee = name === null ? undefined : this.#byService.get(name)
    if (callee !== undefined) return callee.open(head, reply)
    return refuse(reply, statusOf('UNIMPLEMENTED', `${head.path} is not served here`))
  }
}

const SUBPROTOCOL = 'waystation-rpc'

const NO_DESCRIPTORS: Uint8Array = new Uint8Array(0)

function attachFrame({ spec, capacity }: Provided): AttachFrame {
  const { instanceId, version, labels, weight, services, policy = '' } = spec
  const { contract = '', descriptors = NO_DESCRIPTORS } = spec
  return {
    ...{ capacity, weight, policy, instanceId, version, services, contract, descriptors },
    labels: Object.entries(labels),
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
