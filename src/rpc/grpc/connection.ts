import {
  ERROR,
  type HeaderList,
  type Http2Handler,
  Http2Session,
  type Http2Stream,
} from '../../codec/http2/index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Turn, TurnTask } from '../../lib/turn.ts'
import {
  type ConnectionHandler,
  OutputBuffer,
  PAUSE,
  type PeerInfo,
  ReadGate,
  type SlabPool,
  type Transport,
} from '../../net/index.ts'
import { type CallOwner, StreamCall } from './call.ts'
import { startCall, type StartParts } from './call-start.ts'
import { Http2Exchange, type RequestHandler } from './exchange.ts'
import { GrpcWire } from './grpc-wire.ts'
import type { GrpcConnectionInfo } from './server.ts'
import type { GrpcLimits } from './limits.ts'
import type { Logins } from './login.ts'
import { isGrpcType, openingOf } from './opening.ts'
import { openWebCall } from './web-request.ts'

/** What all connections share. */
export interface ConnectionShared {
  readonly turn: Turn
  readonly clock: Clock
  readonly limits: GrpcLimits
  readonly slabs: SlabPool
  loginsOf(peer: PeerInfo): Logins
  closed(connection: GrpcConnection): void
}

const NOTHING: Buffer = Buffer.alloc(0)

/** One HTTP/2 connection, whose streams are calls. */
export class GrpcConnection implements ConnectionHandler, TurnTask, Http2Handler, CallOwner {
  turnQueued = false
  readonly id: number
  readonly peer: PeerInfo
  readonly session: Http2Session
  readonly messageBytesMax: number
  readonly #shared: ConnectionShared
  readonly #transport: Transport
  readonly #output: OutputBuffer
  readonly #gate: ReadGate
  readonly #logins: Logins
  readonly #parts: StartParts
  readonly #connectedAtMs: number
  /** Calls whose callees are to be told that replies were sent. */
  #owing: StreamCall[] = []
  #callCount = 0
  #state: 'running' | 'draining' | 'closed' = 'running'
  #receivedBytes = 0
  #receivedAtLastTick = 0
  #quietTicks = 0
  #isAsked = false

  constructor(transport: Transport, shared: ConnectionShared) {
    this.id = transport.id
    this.peer = transport.peer
    this.messageBytesMax = shared.limits.messageBytesMax
    this.#shared = shared
    this.#transport = transport
    this.#output = new OutputBuffer(transport, shared.slabs)
    this.#gate = new ReadGate(transport)
    this.#logins = shared.loginsOf(transport.peer)
    this.#connectedAtMs = shared.clock.now()
    const { clock, limits } = shared
    const requestOutput = (): void => this.requestOutput()
    this.#parts = { clock, limits, logins: this.#logins, requestOutput }
    this.session = new Http2Session({
      role: 'server',
      handler: this,
      sink: this.#output,
      streamsMax: shared.limits.callsMax,
    })
    this.requestOutput()
  }

  get users(): readonly string[] {
    return this.#logins.callers.map(({ user }) => user)
  }

  get info(): GrpcConnectionInfo {
    const { remoteAddress, remotePort, localAddress, localPort, listener, tls } = this.peer
    const [caller] = this.#logins.callers
    return {
      id: this.id,
      name: `${remoteAddress}:${remotePort} -> ${localAddress}:${localPort}`,
      clientName: null,
      user: caller?.user ?? null,
      vhost: caller?.vhost ?? null,
      state: this.#state,
      heldBackBy: null,
      channels: this.#callCount,
      consumers: 0,
      protocol: 'gRPC',
      peerAddress: remoteAddress,
      peerPort: remotePort,
      listener,
      tls: tls !== null,
      clientProduct: null,
      connectedAtMs: this.#connectedAtMs,
      receivedBytes: this.#receivedBytes,
      sentBytes: this.#output.writtenBytes,
    }
  }

  // --- the socket ---

  received(bytes: Buffer): void {
    this.#receivedBytes += bytes.length
    this.session.push(bytes)
    this.requestOutput()
    if (this.#output.pendingBytes > this.#shared.limits.outputBytesMax)
      this.#gate.close(PAUSE.OUTPUT)
  }

  drained(): void {
    this.#output.drained()
    this.#gate.open(PAUSE.OUTPUT)
    this.requestOutput()
  }

  ended(): void {
    this.session.lose()
    this.#transport.end()
  }

  closed(): void {
    this.#state = 'closed'
    this.session.lose()
    this.#output.discard()
    this.#shared.closed(this)
  }

  shutdown(reason: string): void {
    if (this.#state !== 'running') return
    this.#state = 'draining'
    this.session.drain(reason)
    for (const caller of this.#logins.callers) caller.drain(reason)
    this.requestOutput()
  }

  /** Ends the connection at once, with a word. */
  fail(reason: string): void {
    this.session.fail(ERROR.NO_ERROR, reason)
    this.requestOutput()
  }

  /** The end of the turn. */
  runTurn(): void {
    this.#output.flush()
    if (this.#state === 'closed') return
    if (this.session.failure !== null || this.session.isDrained) return this.#transport.end()
    if (this.#output.blocked || this.#owing.length === 0) return
    const owing = this.#owing
    this.#owing = []
    for (const call of owing) {
      call.isOwed = false
      call.settle()
    }
  }

  /** Once a second. */
  tick(): void {
    this.session.replenish()
    const hasCome = this.#receivedBytes !== this.#receivedAtLastTick
    this.#receivedAtLastTick = this.#receivedBytes
    this.#quietTicks = hasCome ? 0 : this.#quietTicks + 1
    if (hasCome) this.#isAsked = false
    if (this.#quietTicks * 1000 < this.#shared.limits.idleMs) return
    this.#quietTicks = 0
    if (this.#isAsked) return this.#transport.destroy()
    this.#isAsked = true
    this.session.ping()
    this.requestOutput()
  }

  permissionsChanged(): void {
    for (const caller of this.#logins.callers) caller.forget()
  }

  // --- calls ---

  requestOutput(): void {
    if (!this.turnQueued) this.#shared.turn.output(this)
  }

  owes(call: StreamCall): void {
    if (call.isOwed) return
    call.isOwed = true
    this.#owing.push(call)
    this.requestOutput()
  }

  callBegan(): void {
    this.#callCount += 1
  }

  callEnded(): void {
    this.#callCount -= 1
  }

  // --- streams ---

  onHeaders(stream: Http2Stream, headers: HeaderList, isLast: boolean): void {
    const type = headers.get('content-type')
    const isGrpc = type !== null && isGrpcType(type) && !headers.isTooLarge
    const opening = isGrpc ? openingOf(headers, this.#logins) : null
    if (opening === null) {
      const { method, path: target, fields, isTooLarge } = headers
      const request = { method, target, fields, isTooLarge }
      const exchange = new Http2Exchange(this.session, stream)
      stream.owner = openWebCall(this, this.#parts, { request, exchange })
    } else {
      const call = new StreamCall(
        this,
        new GrpcWire(this.session, stream, opening.contentType),
        opening,
      )
      stream.owner = call
      startCall(this.#parts, call, opening)
    }
    if (isLast) handlerOf(stream).content(NOTHING, 0, 0, true)
  }

  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    handlerOf(stream).content(bytes, start, end, isLast)
  }

  onTrailers(stream: Http2Stream): void {
    handlerOf(stream).content(NOTHING, 0, 0, true)
  }

  onSent(stream: Http2Stream): void {
    handlerOf(stream).sent()
  }

  onReset(stream: Http2Stream, code: number): void {
    // One that was malformed never got so far.
    const handler = stream.owner as RequestHandler | null
    handler?.lost(code === ERROR.CANCEL ? 'the caller cancelled it' : 'the caller has gone')
  }

  onGoaway(): void {}
  onPong(): void {}
  onRoom(): void {}
}

function handlerOf(stream: Http2Stream): RequestHandler {
  // Set by `onHeaders`, before which the session tells of nothing.
  return stream.owner as RequestHandler
}
