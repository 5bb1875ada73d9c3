import type { BrokerLog } from '../../broker/index.ts'
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
import { deadlineAfter, serviceOf } from '../../rpc/call.ts'
import { Metadata } from '../../rpc/metadata.ts'
import { type CallOwner, StreamCall } from './call.ts'
import { GrpcWire } from './grpc-wire.ts'
import type { GrpcConnectionInfo } from './grpc.ts'
import type { GrpcLimits } from './limits.ts'
import { Caller, type LoginOutcome, type LoginParts, Logins } from './logins.ts'
import { isGrpcType, type Opening, openingOf } from './opening.ts'
import { isOwnService } from './own-services.ts'

/** What all connections share. */
export interface ConnectionShared extends LoginParts {
  readonly turn: Turn
  readonly clock: Clock
  readonly log: BrokerLog
  readonly limits: GrpcLimits
  readonly slabs: SlabPool
  closed(connection: GrpcConnection): void
}

const NO_GRPC: Buffer = Buffer.from('this port takes calls of gRPC\n')
const NOT_FOUND: readonly string[] = [':status', '404', 'content-type', 'text/plain']
const WRONG_TYPE: readonly string[] = [':status', '415', 'content-type', 'text/plain']
const TOO_LARGE: readonly string[] = [':status', '431', 'content-type', 'text/plain']

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
    this.#logins = new Logins(shared, transport.peer)
    this.#connectedAtMs = shared.clock.now()
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

  callEnded(): void {
    this.#callCount -= 1
  }

  // --- streams ---

  onHeaders(stream: Http2Stream, headers: HeaderList, isLast: boolean): void {
    const type = headers.get('content-type')
    const isCall = type !== null && isGrpcType(type) && !headers.isTooLarge
    if (!isCall) {
      stream.owner = headers.isTooLarge ? TOO_LARGE : type === null ? NOT_FOUND : WRONG_TYPE
      if (isLast) this.#refuse(stream)
      return
    }
    this.#callCount += 1
    const opening = openingOf(headers)
    const call = new StreamCall(
      this,
      new GrpcWire(this.session, stream, opening.contentType),
      opening,
    )
    stream.owner = call
    if (opening.refusal !== null) return call.status(opening.refusal, Metadata.EMPTY)
    const { clock, limits } = this.#shared
    const deadlineMs = deadlineAfter(clock.monotonicMs(), opening.timeoutMs, limits.deadlineMsMax)
    const login = this.#logins.of(opening.authorization, opening.vhost)
    if (login.outcome !== null) this.#begin(call, login.outcome, opening, deadlineMs)
    else {
      login.whenOver((outcome) => {
        this.#begin(call, outcome, opening, deadlineMs)
        this.requestOutput()
      })
    }
    if (isLast) call.end()
  }

  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const { owner } = stream
    if (owner instanceof StreamCall) return owner.content(bytes, start, end, isLast)
    this.session.taken(stream, end - start)
    if (isLast) this.#refuse(stream)
  }

  onTrailers(stream: Http2Stream): void {
    if (stream.owner instanceof StreamCall) stream.owner.end()
    else this.#refuse(stream)
  }

  onSent(stream: Http2Stream): void {
    if (stream.owner instanceof StreamCall) stream.owner.sent()
  }

  onReset(stream: Http2Stream, code: number): void {
    if (!(stream.owner instanceof StreamCall)) return
    stream.owner.lost(code === ERROR.CANCEL ? 'the caller cancelled it' : 'the caller has gone')
  }

  #begin(call: StreamCall, outcome: LoginOutcome, opening: Opening, deadlineMs: number): void {
    if (!(outcome instanceof Caller)) return call.status(outcome, Metadata.EMPTY)
    const service = serviceOf(opening.path)
    if (isOwnService(service)) return call.begin(outcome.own, deadlineMs)
    const refusal = outcome.refusalOf(opening.path)
    if (refusal === null) call.begin(outcome.relay, deadlineMs)
    else call.status(refusal, Metadata.EMPTY)
  }

  /** What is no gRPC gets an answer of HTTP, when all of it has come. */
  #refuse(stream: Http2Stream): void {
    this.session.sendHeaders(stream, stream.owner as readonly string[])
    this.session.sendData(stream, NO_GRPC, true)
  }

  onGoaway(): void {}
  onPong(): void {}
  onRoom(): void {}
}
