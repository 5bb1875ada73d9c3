import {
  cutMessage,
  GrpcFrameError,
  MessageReader,
  type MessageTarget,
  PREFIX_BYTES,
  writePrefix,
} from '../../codec/grpc/index.ts'
import {
  CALL_WINDOW,
  CREDIT_DUE,
  type CallHead,
  type Callee,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../call.ts'
import { Metadata } from '../metadata.ts'
import { type Status, statusNameOf, statusOf } from '../status.ts'
import { compress, type Compression, inflate, InflateError } from './compression.ts'
import { COMPRESSED_BYTES_MIN } from './limits.ts'
import type { Opening } from './opening.ts'

/** What a call needs of its connection. */
export interface CallOwner {
  readonly messageBytesMax: number
  /** Something was written: it must leave at the end of the turn. */
  requestOutput(): void
  /** Replies were sent that the callee is to be told of once the output has room. */
  owes(call: StreamCall): void
  callBegan(): void
  callEnded(): void
}

/** How a call is written: gRPC, gRPC-Web or Connect, on whichever HTTP. */
export interface CallWire {
  /** Something that was sent waits for the client. */
  readonly isWaiting: boolean
  /** Ahead of the first message. */
  head(metadata: Metadata, compression: Compression | null): void
  message(prefix: Uint8Array, bytes: Uint8Array): void
  end(status: Status, trailers: Metadata): void
  /** Content was dealt with: the client may send as much again. */
  taken(bytes: number): void
  /** The answer is complete and sent: a client that still sends need not go on. */
  stopClient(): void
}

const COMPRESSED = 1

/** One for all calls: a prefix is copied into the output at once. */
const prefix: Buffer = Buffer.alloc(PREFIX_BYTES)

/**
 * A call whose messages come and go each behind a prefix, to the callee and back. It holds what the
 * callee has no credit for, which is at most the stream's window, since it is not given back.
 */
export class StreamCall implements ReplySink, MessageTarget {
  readonly #owner: CallOwner
  readonly #wire: CallWire
  readonly #opening: Opening
  readonly #reader: MessageReader
  #request: RequestSink | null = null
  /** What the callee may still be sent. */
  #credit = CALL_WINDOW
  #held: Buffer[] | null = null
  #heldEnd = false
  #isReading = false
  #saidLast = false
  #hasHead = false
  #isOver = false
  /** How replies are compressed: the client does it, and so do we. */
  #compression: Compression | null = null
  /** Cost of replies that the callee was not told of. */
  #owed = 0
  isOwed = false

  constructor(owner: CallOwner, wire: CallWire, opening: Opening) {
    this.#owner = owner
    this.#wire = wire
    this.#opening = opening
    this.#reader = new MessageReader(this, owner.messageBytesMax + opening.envelopeBytes)
    owner.callBegan()
  }

  /** Whom it is for is known: what came meanwhile goes on. */
  begin(callee: Callee, deadlineMs: number): void {
    if (this.#isOver) return
    const { path, metadata, contentType, isOneWay } = this.#opening
    const head: CallHead = { path, metadata, deadlineMs, contentType, isOneWay }
    const request = callee.open(head, this)
    this.#request = request
    if (this.#held !== null) this.#resume()
  }

  // --- from the client ---

  /** Returns how much was dealt with; the rest is kept. */
  content(bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    if (this.#isOver) return this.#wire.taken(end - start)
    if (this.#held !== null) {
      this.#held.push(Buffer.from(bytes.subarray(start, end)))
      this.#heldEnd = isEnd
      return
    }
    this.#push(bytes, start, end, isEnd)
  }

  /** The client or the connection has gone. */
  lost(reason: string): void {
    if (this.#isOver) return
    this.#finish()
    this.#request?.cancel(reason)
  }

  get isReady(): boolean {
    return this.#request !== null && this.#credit > 0 && !this.#isOver
  }

  onMessage(bytes: Buffer, flags: number, isLast: boolean): void {
    const message = flags === 0 ? bytes : this.#inflated(bytes, flags)
    this.#credit -= messageCost(message.length)
    this.#saidLast = isLast
    this.#request!.message(message, isLast)
  }

  /** Everything is in frames. */
  sent(): void {
    if (this.#isOver) this.#wire.stopClient()
    else if (this.#owed > 0) this.#owner.owes(this)
  }

  /** The output has room: the callee may go on. */
  settle(): void {
    const owed = this.#owed
    this.#owed = 0
    if (!this.#isOver) this.#request?.creditReplies(owed)
  }

  // --- from the callee ---

  head(metadata: Metadata): void {
    if (this.#isOver || this.#hasHead) return
    this.#sendHead(metadata)
    this.#owner.requestOutput()
  }

  reply(bytes: Uint8Array): void {
    if (this.#isOver) return
    if (!this.#hasHead) this.#sendHead(Metadata.EMPTY)
    let message = bytes
    let flags = 0
    if (this.#compression !== null && bytes.length >= COMPRESSED_BYTES_MIN) {
      message = compress(bytes, this.#compression)
      flags = COMPRESSED
    }
    writePrefix(prefix, flags, message.length)
    this.#wire.message(prefix, message)
    this.#owed += messageCost(bytes.length)
    if (this.#owed >= CREDIT_DUE && !this.#wire.isWaiting) this.#owner.owes(this)
    this.#owner.requestOutput()
  }

  status(status: Status, trailers: Metadata): void {
    if (this.#isOver) return
    this.#finish()
    this.#wire.end(status, trailers)
    if (!this.#wire.isWaiting) this.#wire.stopClient()
    this.#owner.requestOutput()
  }

  creditRequests(cost: number): void {
    this.#credit += cost
    if (this.#held !== null && !this.#isReading && this.isReady) this.#resume()
  }

  // --- inside ---

  #sendHead(metadata: Metadata): void {
    this.#hasHead = true
    this.#wire.head(metadata, this.#compression)
  }

  #push(bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    this.#isReading = true
    try {
      let at = this.#reader.push(bytes, start, end, isEnd)
      // Credit may have come from the last message.
      while ((at < end || this.#reader.isBlocked) && this.isReady) {
        at = this.#reader.push(bytes, at, end, isEnd)
      }
      this.#wire.taken(at - start)
      if (this.#isOver) this.#wire.taken(end - at)
      else if (at < end || this.#reader.isBlocked || this.#request === null) {
        this.#hold(bytes, at, end, isEnd)
      } else if (isEnd) this.#ended()
    } catch (error) {
      if (!(error instanceof GrpcFrameError)) throw error
      this.#wire.taken(end - start)
      this.#refuse(statusOf(statusNameOf(error.status), error.message))
    } finally {
      this.#isReading = false
    }
  }

  #hold(bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    this.#held = [Buffer.from(bytes.subarray(start, end))]
    this.#heldEnd = isEnd
  }

  #resume(): void {
    const held = this.#held!
    const isEnd = this.#heldEnd
    this.#held = null
    const bytes = held.length === 1 ? held[0]! : Buffer.concat(held)
    this.#push(bytes, 0, bytes.length, isEnd)
    this.#owner.requestOutput()
  }

  #ended(): void {
    if (!this.#reader.isBetweenMessages) throw cutMessage()
    if (!this.#saidLast) this.#request?.halfClose()
  }

  #inflated(bytes: Buffer, flags: number): Buffer {
    if (flags !== COMPRESSED) throw new GrpcFrameError(13, `message flags ${flags}`)
    const { compression, replyCompression } = this.#opening
    if (compression === null) {
      throw new GrpcFrameError(13, 'a compressed message where none was announced')
    }
    if (!this.#hasHead) this.#compression = replyCompression
    try {
      return inflate(bytes, compression, this.#owner.messageBytesMax)
    } catch (error) {
      if (!(error instanceof InflateError)) throw error
      throw new GrpcFrameError(error.isTooLarge ? 8 : 13, error.message)
    }
  }

  #refuse(status: Status): void {
    const request = this.#request
    this.status(status, Metadata.EMPTY)
    request?.cancel(status.message)
  }

  #finish(): void {
    this.#isOver = true
    const held = this.#held
    this.#held = null
    if (held !== null) for (const { length } of held) this.#wire.taken(length)
    this.#owner.callEnded()
  }
}
