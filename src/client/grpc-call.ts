import {
  GrpcFrameError,
  MessageReader,
  type MessageTarget,
  PREFIX_BYTES,
  writePrefix,
} from '../codec/grpc/index.ts'
import {
  ERROR,
  type HeaderList,
  type Http2Session,
  type Http2Stream,
} from '../codec/http2/index.ts'
import {
  CALL_WINDOW,
  CREDIT_DUE,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../rpc/call.ts'
import {
  compress,
  COMPRESSED_BYTES_MIN,
  type Compression,
  compressionOf,
  inflate,
  InflateError,
} from '../rpc/grpc/index.ts'
import { metadataOf, statusAmong } from '../rpc/grpc-fields.ts'
import { hopDetail } from '../rpc/hop.ts'
import { Metadata } from '../rpc/metadata.ts'
import { type Status, type StatusName, statusNameOf, statusOf } from '../rpc/status.ts'

/** What a call needs of its connection. */
export interface GrpcCallOwner {
  readonly session: Http2Session
  readonly messageBytesMax: number
  /** Of requests; null: none. */
  readonly compression: Compression | null
  requestOutput(): void
  /** Requests were sent that the caller is to be told of once the output has room. */
  owes(call: GrpcOutgoingCall): void
  callEnded(): void
}

const NOTHING: Buffer = Buffer.alloc(0)
const COMPRESSED = 1

/** One for all calls: a prefix is copied into the output at once. */
const prefix: Buffer = Buffer.alloc(PREFIX_BYTES)

/**
 * A call on a stream to a gRPC server. What the caller has no credit for waits here, and is not
 * given back to the server, so it is at most the stream's window.
 */
export class GrpcOutgoingCall implements RequestSink, MessageTarget {
  readonly #owner: GrpcCallOwner
  readonly #reply: ReplySink
  readonly #reader: MessageReader
  #stream: Http2Stream | null = null
  #credit = CALL_WINDOW
  #held: Buffer[] | null = null
  #isReading = false
  #isOver = false
  #compression: Compression | null = null
  /** How it ends, once the messages before it are delivered. */
  #end: { readonly status: Status; readonly trailers: Metadata } | null = null
  /** Cost of requests that the caller was not told of. */
  #owed = 0
  isOwed = false

  constructor(owner: GrpcCallOwner, reply: ReplySink) {
    this.#owner = owner
    this.#reply = reply
    this.#reader = new MessageReader(this, owner.messageBytesMax)
  }

  begin(stream: Http2Stream): void {
    this.#stream = stream
  }

  // --- from the caller ---

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#isOver || this.#stream === null) return
    const { compression, session } = this.#owner
    const isCompressed = compression !== null && bytes.length >= COMPRESSED_BYTES_MIN
    const content = isCompressed ? compress(bytes, compression) : bytes
    writePrefix(prefix, isCompressed ? COMPRESSED : 0, content.length)
    session.sendPair(this.#stream, prefix, content, isLast)
    this.#owed += messageCost(bytes.length)
    if (!isLast && this.#owed >= CREDIT_DUE && this.#stream.waiting === null) {
      this.#owner.owes(this)
    }
    this.#owner.requestOutput()
  }

  halfClose(): void {
    if (this.#isOver || this.#stream === null) return
    this.#owner.session.sendData(this.#stream, NOTHING, true)
    this.#owner.requestOutput()
  }

  cancel(): void {
    if (this.#isOver) return
    this.#finish()
    if (this.#stream !== null) this.#owner.session.reset(this.#stream, ERROR.CANCEL)
    this.#owner.requestOutput()
  }

  creditReplies(cost: number): void {
    this.#credit += cost
    if (this.#held !== null && !this.#isReading && this.isReady) this.#resume()
  }

  // --- from the server ---

  headers(headers: HeaderList, isLast: boolean): void {
    if (this.#isOver) return
    const status = statusAmong(headers.fields)
    if (status !== null && isLast) return this.#endWith(status, metadataOf(headers.fields))
    const type = headers.get('content-type') ?? ''
    if (headers.status !== 200 || !type.startsWith('application/grpc')) {
      const text = `unexpected HTTP status ${headers.status} and content type '${type}'`
      return this.fail(statusOf(codeOfHttp(headers.status), text))
    }
    if (isLast) return this.fail(statusOf('INTERNAL', 'the server ended a call without a status'))
    this.#compression = compressionOf(headers.get('grpc-encoding') ?? '')
    const metadata = metadataOf(headers.fields)
    if (metadata.size > 0) this.#reply.head(metadata)
  }

  content(bytes: Buffer, start: number, end: number, isLast: boolean): void {
    const { session } = this.#owner
    if (this.#isOver) return session.taken(this.#stream!, end - start)
    if (this.#held === null) this.#push(bytes, start, end)
    else this.#held.push(Buffer.from(bytes.subarray(start, end)))
    if (isLast) this.fail(statusOf('INTERNAL', 'the server ended a call without a status'))
  }

  trailers(headers: HeaderList): void {
    if (this.#isOver) return
    const status = statusAmong(headers.fields)
    this.#endWith(
      status ?? statusOf('INTERNAL', 'the server ended a call without a status'),
      metadataOf(headers.fields),
    )
  }

  /** The stream or the connection was ended. */
  reset(code: number): void {
    if (!this.#isOver && this.#end === null) this.#over(statusOfReset(code), Metadata.EMPTY)
  }

  /** Everything is in frames. */
  sent(): void {
    if (!this.#isOver && this.#owed > 0) this.#owner.owes(this)
  }

  /** The output has room: the caller may go on. */
  settle(): void {
    const owed = this.#owed
    this.#owed = 0
    if (!this.#isOver) this.#reply.creditRequests(owed)
  }

  /** Ends the call for a reason of this side. */
  fail(status: Status): void {
    if (this.#isOver) return
    if (this.#stream !== null) this.#owner.session.reset(this.#stream, ERROR.CANCEL)
    this.#over(status, Metadata.EMPTY)
    this.#owner.requestOutput()
  }

  get isReady(): boolean {
    return this.#credit > 0 && !this.#isOver
  }

  onMessage(bytes: Buffer, flags: number): void {
    const message = flags === 0 ? bytes : this.#inflated(bytes, flags)
    this.#credit -= messageCost(message.length)
    this.#reply.reply(message)
  }

  // --- inside ---

  #push(bytes: Buffer, start: number, end: number): void {
    const { session } = this.#owner
    this.#isReading = true
    try {
      let at = this.#reader.push(bytes, start, end, false)
      while ((at < end || this.#reader.isBlocked) && this.isReady) {
        at = this.#reader.push(bytes, at, end, false)
      }
      session.taken(this.#stream!, this.#isOver ? end - start : at - start)
      if (!this.#isOver && (at < end || this.#reader.isBlocked)) {
        this.#held = [Buffer.from(bytes.subarray(at, end))]
      }
    } catch (error) {
      if (!(error instanceof GrpcFrameError)) throw error
      session.taken(this.#stream!, end - start)
      this.fail(statusOf(statusNameOf(error.status), error.message))
    } finally {
      this.#isReading = false
    }
    this.#endIfDelivered()
  }

  #resume(): void {
    const held = this.#held!
    this.#held = null
    const bytes = held.length === 1 ? held[0]! : Buffer.concat(held)
    this.#push(bytes, 0, bytes.length)
    this.#owner.requestOutput()
  }

  #endWith(status: Status, trailers: Metadata): void {
    this.#end = { status, trailers }
    this.#endIfDelivered()
  }

  #endIfDelivered(): void {
    if (this.#end === null || this.#held !== null || this.#isOver) return
    const { status, trailers } = this.#end
    if (status.code === 'OK' && !this.#reader.isBetweenMessages) {
      return this.#over(statusOf('INTERNAL', 'the stream ended inside a message'), Metadata.EMPTY)
    }
    this.#over(status, trailers)
  }

  #over(status: Status, trailers: Metadata): void {
    this.#finish()
    this.#reply.status(status, trailers)
  }

  #finish(): void {
    this.#isOver = true
    const held = this.#held
    this.#held = null
    for (const { length } of held ?? []) this.#owner.session.taken(this.#stream!, length)
    this.#owner.callEnded()
  }

  #inflated(bytes: Buffer, flags: number): Buffer {
    if (flags !== COMPRESSED || this.#compression === null) {
      throw new GrpcFrameError(13, `message flags ${flags} without a known grpc-encoding`)
    }
    try {
      return inflate(bytes, this.#compression, this.#owner.messageBytesMax)
    } catch (error) {
      if (!(error instanceof InflateError)) throw error
      throw new GrpcFrameError(error.isTooLarge ? 8 : 13, error.message)
    }
  }
}

/** As gRPC maps them, for answers that are not its own. */
function codeOfHttp(status: number): StatusName {
  if (status === 400) return 'INTERNAL'
  if (status === 401) return 'UNAUTHENTICATED'
  if (status === 403) return 'PERMISSION_DENIED'
  if (status === 404) return 'UNIMPLEMENTED'
  return [429, 502, 503, 504].includes(status) ? 'UNAVAILABLE' : 'UNKNOWN'
}

/** A stream that was refused had no effect, so the call may be made again. */
function statusOfReset(code: number): Status {
  switch (code) {
    case ERROR.REFUSED_STREAM: {
      const details = [hopDetail({ stage: 'queued', provider: '', waitedMs: 0 })]
      return statusOf('UNAVAILABLE', 'the server refused the stream', details)
    }
    case ERROR.CANCEL:
      return statusOf('CANCELLED', 'the server cancelled the stream')
    case ERROR.ENHANCE_YOUR_CALM:
      return statusOf('RESOURCE_EXHAUSTED', 'the server asks for calm')
    case ERROR.INADEQUATE_SECURITY:
      return statusOf('PERMISSION_DENIED', 'the server wants more security')
    case ERROR.CONNECT_ERROR:
      return statusOf('UNAVAILABLE', 'the connection to the server was lost')
    default:
      return statusOf('INTERNAL', `the server reset the stream with code ${code}`)
  }
}
