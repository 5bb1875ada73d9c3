import { formatTimeout } from '../codec/grpc/index.ts'
import {
  ERROR,
  type HeaderList,
  type Http2Handler,
  Http2Session,
  type Http2Stream,
} from '../codec/http2/index.ts'
import type { Clock } from '../lib/clock.ts'
import type { Turn, TurnTask } from '../lib/turn.ts'
import {
  type ConnectionHandler,
  OutputBuffer,
  type SlabPool,
  type Transport,
} from '../net/index.ts'
import type { CallHead, Callee, ReplySink, RequestSink } from '../rpc/call.ts'
import { type Compression, COMPRESSION_NAMES } from '../rpc/grpc/index.ts'
import { fieldsOf } from '../rpc/grpc-fields.ts'
import { hopDetail } from '../rpc/hop.ts'
import { IdleWatch } from '../rpc/idle-watch.ts'
import { type Status, statusOf } from '../rpc/status.ts'
import { type GrpcCallOwner, GrpcOutgoingCall } from './grpc-call.ts'
import { GRPC_IDLE_MS, PATHS_MAX } from './limits.ts'
import { PendingCall } from './pending-call.ts'

export interface GrpcLinkOptions {
  readonly clock: Clock
  readonly turn: Turn
  readonly slabs: SlabPool
  /** `:authority` of the requests, such as HOST:PORT. */
  readonly authority: string
  readonly scheme: 'http' | 'https'
  /** Sent with each request; names and values in turn. */
  readonly fields: readonly string[]
  readonly messageBytesMax: number
  /** Of requests; null: none. */
  readonly compression: Compression | null
  readonly owner: {
    /** The server takes calls. */
    grpcReady(link: GrpcLink): void
    /** It takes no new ones; those that are open go on. */
    grpcLeaving(link: GrpcLink): void
    grpcLost(link: GrpcLink, reason: string): void
    /** A call has ended. */
    grpcCallEnded(): void
  }
}

/** One connection to a gRPC server, whose streams are calls. */
export class GrpcLink implements ConnectionHandler, TurnTask, Http2Handler, GrpcCallOwner, Callee {
  turnQueued = false
  readonly session: Http2Session
  readonly messageBytesMax: number
  readonly compression: Compression | null
  readonly #options: GrpcLinkOptions
  readonly #transport: Transport
  readonly #output: OutputBuffer
  readonly #idle: IdleWatch
  /** Header lists by path and form of messages. */
  readonly #lists = new Map<string, readonly string[]>()
  #fields: readonly string[]
  /** Calls that the server has no room for yet. */
  readonly #queued = new Set<PendingCall>()
  #owing: GrpcOutgoingCall[] = []
  #isReady = false
  #isLeaving = false
  #isClosed = false
  #openCount = 0
  #receivedBytes = 0

  constructor(transport: Transport, options: GrpcLinkOptions) {
    this.#transport = transport
    this.#options = options
    this.messageBytesMax = options.messageBytesMax
    this.compression = options.compression
    this.#fields = options.fields
    this.#output = new OutputBuffer(transport, options.slabs)
    this.session = new Http2Session({ role: 'client', handler: this, sink: this.#output })
    this.#idle = new IdleWatch({
      clock: options.clock,
      idleMs: GRPC_IDLE_MS,
      receivedBytes: () => this.#receivedBytes,
      ask: () => {
        this.session.ping()
        this.requestOutput()
      },
      silent: () => this.#transport.destroy(new Error('the server does not answer')),
    })
    this.requestOutput()
  }

  /** Calls that have not ended. */
  get callCount(): number {
    return this.#openCount + this.#queued.size
  }

  /** Opens a call, at once or when the server has room. */
  open(head: CallHead, reply: ReplySink): RequestSink {
    if (!this.session.hasRoom) {
      const queued = new PendingCall(head, reply, this.#queued)
      this.#queued.add(queued)
      return queued
    }
    const call = new GrpcOutgoingCall(this, reply)
    this.#openCount += 1
    const timeoutMs = head.deadlineMs - this.#options.clock.monotonicMs()
    const extra = fieldsOf(head.metadata) ?? []
    // Whoever keeps the time by itself need not tell.
    if (timeoutMs !== Infinity) extra.unshift('grpc-timeout', formatTimeout(timeoutMs))
    call.begin(this.session.open(this.#listOf(head), extra, { owner: call }))
    this.requestOutput()
    return call
  }

  /** Sent with each request from now on, in the place of those before. */
  setFields(fields: readonly string[]): void {
    this.#fields = fields
    this.#lists.clear()
  }

  /** Says what is left to say, and closes. */
  close(): void {
    this.session.fail(ERROR.NO_ERROR, '')
    this.#output.flush()
    this.#transport.end()
  }

  // --- the socket ---

  received(bytes: Buffer): void {
    this.#receivedBytes += bytes.length
    this.session.push(bytes)
    this.requestOutput()
  }

  drained(): void {
    this.#output.drained()
    this.requestOutput()
  }

  ended(): void {
    this.#transport.end()
  }

  closed(error: Error | null): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#idle.stop()
    const reason = this.session.failure?.message ?? error?.message ?? 'the server has closed it'
    this.session.lose()
    this.#output.discard()
    this.#options.owner.grpcLost(this, reason)
    for (const queued of [...this.#queued]) queued.fail(unsent(reason))
  }

  shutdown(): void {
    this.close()
  }

  runTurn(): void {
    this.#output.flush()
    if (this.session.failure !== null) return this.#transport.end()
    if (this.#isLeaving && this.session.streamCount === 0) return this.#transport.end()
    if (this.#output.blocked || this.#owing.length === 0) return
    const owing = this.#owing
    this.#owing = []
    for (const call of owing) {
      call.isOwed = false
      call.settle()
    }
  }

  // --- calls ---

  requestOutput(): void {
    if (!this.turnQueued && !this.#isClosed) this.#options.turn.output(this)
  }

  owes(call: GrpcOutgoingCall): void {
    if (call.isOwed) return
    call.isOwed = true
    this.#owing.push(call)
    this.requestOutput()
  }

  callEnded(): void {
    this.#openCount -= 1
    if (this.#isLeaving) this.requestOutput()
    this.#options.owner.grpcCallEnded()
  }

  // --- streams ---

  onHeaders(stream: Http2Stream, headers: HeaderList, isLast: boolean): void {
    callOf(stream).headers(headers, isLast)
  }

  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    callOf(stream).content(bytes, start, end, isLast)
  }

  onTrailers(stream: Http2Stream, headers: HeaderList): void {
    callOf(stream).trailers(headers)
  }

  onSent(stream: Http2Stream): void {
    callOf(stream).sent()
  }

  onReset(stream: Http2Stream, code: number): void {
    callOf(stream).reset(code)
  }

  onGoaway(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    this.#options.owner.grpcLeaving(this)
    for (const queued of [...this.#queued]) queued.fail(unsent('the server is stopping'))
  }

  onPong(): void {}

  onRoom(): void {
    if (!this.#isReady) {
      this.#isReady = true
      this.#options.owner.grpcReady(this)
    }
    for (const queued of this.#queued) {
      if (!this.session.hasRoom) return
      queued.go(this)
    }
  }

  #listOf({ path, contentType }: CallHead): readonly string[] {
    const key = `${contentType} ${path}`
    let list = this.#lists.get(key)
    if (list === undefined) {
      const { authority, scheme } = this.#options
      const type = contentType === 'proto' ? 'application/grpc' : `application/grpc+${contentType}`
      list = [
        ...[':method', 'POST', ':scheme', scheme, ':path', path, ':authority', authority],
        ...['te', 'trailers', 'content-type', type, 'grpc-accept-encoding', ACCEPTED],
        ...(this.compression === null ? [] : ['grpc-encoding', this.compression]),
        ...this.#fields,
      ]
      if (this.#lists.size >= PATHS_MAX) this.#lists.clear()
      this.#lists.set(key, list)
    }
    return list
  }
}

const ACCEPTED = `identity,${COMPRESSION_NAMES}`

/** It never left this process, so it may be made again. */
function unsent(text: string): Status {
  return statusOf('UNAVAILABLE', text, [hopDetail({ stage: 'queued', provider: '', waitedMs: 0 })])
}

/** Streams are opened by `open` alone. */
function callOf(stream: Http2Stream): GrpcOutgoingCall {
  return stream.owner as GrpcOutgoingCall
}
