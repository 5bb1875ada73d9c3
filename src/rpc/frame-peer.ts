import {
  decodeMetadata,
  decodeNumber,
  decodeOpen,
  decodeStatus,
  decodeText,
  FLAG,
  FRAME,
  type FrameTarget,
  RpcFrameError,
  type StatusFrame,
  writeText,
} from '../codec/rpc/index.ts'
import type { Clock } from '../lib/clock.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  deadlineAfter,
  type ReplySink,
  type RequestSink,
} from './call.ts'
import { hopDetail } from './hop.ts'
import { IncomingCall, OutgoingCall, writeStatusFrame } from './frame-calls.ts'
import { Metadata } from './metadata.ts'
import { type Status, statusNameOf, statusOf } from './status.ts'

/** The output of the connection, gathered for one write a turn. */
export interface PeerOutput extends FrameTarget {
  /** Octets handed to the transport, and those that are gathered. */
  readonly writtenBytes: number
}

export interface FramePeerOptions {
  readonly output: PeerOutput
  /** Something was written: it must leave at the end of the turn. */
  readonly requestOutput: () => void
  /** Takes the calls that the other side opens. */
  readonly callee: Callee
  /** Who opened the connection counts its calls by odd numbers, the other one by even ones. */
  readonly isInitiator: boolean
  readonly clock: Clock
  /** Calls that the other side may have open. */
  readonly callsMax: number
  readonly deadlineMsMax: number
}

const ID_MAX = 0xffff_fffe

/**
 * Calls on one connection, in both directions. It knows frames and calls, neither sockets nor who
 * may log in: whoever owns the connection hands it the frames of calls, and tells it of the end.
 */
export class FramePeer implements Callee {
  readonly output: PeerOutput
  readonly clock: Clock
  readonly requestOutput: () => void
  /** The largest message that the other side takes. */
  messageBytesMax: number = Infinity
  /** Called whenever the last call has ended. */
  onIdle: (() => void) | null = null
  readonly #callee: Callee
  readonly #calls = new Map<number, IncomingCall | OutgoingCall>()
  readonly #callsMax: number
  readonly #deadlineMsMax: number
  readonly #ownParity: number
  #lastId: number
  #incomingCount = 0
  #drainReason: string | null = null
  #isLost = false

  constructor(options: FramePeerOptions) {
    this.output = options.output
    this.clock = options.clock
    this.requestOutput = options.requestOutput
    this.#callee = options.callee
    this.#callsMax = options.callsMax
    this.#deadlineMsMax = options.deadlineMsMax
    this.#ownParity = options.isInitiator ? 1 : 0
    this.#lastId = options.isInitiator ? -1 : 0
  }

  /** Calls of both directions that have not ended. */
  get callCount(): number {
    return this.#calls.size
  }

  /** Opens a call on the other side. */
  open(head: CallHead, reply: ReplySink): RequestSink {
    if (this.#isLost) {
      reply.status(undelivered('the connection is closed'), Metadata.EMPTY)
      return CLOSED_REQUEST
    }
    const call = new OutgoingCall(this, this.#nextId(), reply)
    this.#calls.set(call.id, call)
    call.begin(head)
    return call
  }

  /** A frame with the number of a call. Throws `RpcFrameError` for what the peer may not send. */
  frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === FRAME.OPEN) {
      this.#opened(flags, id, payload)
      return
    }
    // Late words about a call that has ended are no fault: they crossed its end.
    const call = this.#calls.get(id)
    if (call === undefined) return
    switch (type) {
      case FRAME.DATA:
        call.data(payload, (flags & FLAG.LAST) !== 0)
        break
      case FRAME.CREDIT:
        call.credited(decodeNumber(payload))
        break
      case FRAME.STATUS:
        if (call instanceof OutgoingCall) this.#ended(call, decodeStatus(payload))
        else throw wrongSide('STATUS')
        break
      case FRAME.HALF_CLOSE:
        if (call instanceof IncomingCall) call.request.halfClose()
        else throw wrongSide('HALF_CLOSE')
        break
      case FRAME.CANCEL:
        if (call instanceof IncomingCall) call.cancelled(decodeText(payload))
        else throw wrongSide('CANCEL')
        break
      case FRAME.HEAD:
        if (call instanceof OutgoingCall) call.headCame(metadataOf(decodeMetadata(payload)))
        else throw wrongSide('HEAD')
        break
      default:
        throw new RpcFrameError('MALFORMED', `a frame of the unknown type ${type}`)
    }
  }

  /** A message that was too large and was not read. */
  oversize(id: number, text: string): void {
    this.#calls.get(id)?.fail(statusOf('RESOURCE_EXHAUSTED', text))
  }

  /** Takes no more calls; those that are open go on. The other side is told. */
  drain(reason: string): void {
    if (this.#drainReason !== null || this.#isLost) return
    this.#drainReason = reason
    writeText(this.output, FRAME.GOAWAY, 0, reason)
    this.requestOutput()
  }

  /** The connection is over: every call on it ends. */
  lost(reason: string): void {
    this.#isLost = true
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    this.#incomingCount = 0
    for (const call of calls) call.lost(reason)
  }

  /** Called by a call that has ended. */
  forget(call: IncomingCall | OutgoingCall): void {
    if (!this.#calls.delete(call.id)) return
    if (call instanceof IncomingCall) this.#incomingCount -= 1
    if (this.#calls.size === 0) this.onIdle?.()
  }

  #opened(flags: number, id: number, payload: Buffer): void {
    if ((id & 1) === this.#ownParity || id === 0 || this.#calls.has(id)) {
      throw new RpcFrameError('MALFORMED', `a call with the number ${id}, which is not free`)
    }
    const { path, contentType, timeoutMs, metadata } = decodeOpen(payload)
    const refusal = this.#refusal()
    if (refusal !== null) {
      writeStatusFrame(this, id, refusal, Metadata.EMPTY)
      return
    }
    const call = new IncomingCall(this, id)
    this.#calls.set(id, call)
    this.#incomingCount += 1
    const head: CallHead = {
      path,
      metadata: metadataOf(metadata),
      deadlineMs: deadlineAfter(this.clock.monotonicMs(), timeoutMs, this.#deadlineMsMax),
      contentType,
      isOneWay: (flags & FLAG.ONE_WAY) !== 0,
    }
    call.begin(this.#callee.open(head, call))
  }

  #refusal(): Status | null {
    if (this.#drainReason !== null) return undelivered(this.#drainReason)
    if (this.#incomingCount < this.#callsMax) return null
    const text = `${this.#incomingCount} calls are open on the connection, which is the limit`
    return { ...undelivered(text), code: 'RESOURCE_EXHAUSTED' }
  }

  #ended(call: OutgoingCall, frame: StatusFrame): void {
    const status = statusOf(statusNameOf(frame.code), frame.message, frame.details)
    call.ended(status, metadataOf(frame.trailers))
  }

  #nextId(): number {
    do {
      this.#lastId = this.#lastId + 2 > ID_MAX ? 2 - this.#ownParity : this.#lastId + 2
    } while (this.#calls.has(this.#lastId))
    return this.#lastId
  }
}

/** The other side can be sure that nobody has seen the call. */
function undelivered(text: string): Status {
  return statusOf('UNAVAILABLE', text, [hopDetail({ stage: 'queued', provider: '', waitedMs: 0 })])
}

function metadataOf(flat: readonly (string | Uint8Array)[]): Metadata {
  try {
    return Metadata.fromFlat(flat)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new RpcFrameError('MALFORMED', cause.message, { cause })
  }
}

function wrongSide(name: string): RpcFrameError {
  return new RpcFrameError('MALFORMED', `${name} from the wrong side of a call`)
}
