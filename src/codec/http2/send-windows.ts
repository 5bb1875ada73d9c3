import type { FrameWriter } from './frame-writer.ts'
import { Http2Error } from './http2-error.ts'
import { ERROR, WINDOW_BYTES_INITIAL, WINDOW_BYTES_MAX } from './spec.ts'
import type { Http2Stream, Waiting } from './stream.ts'

/** Frames larger than this would let one stream hold up the others for long. */
const DATA_BYTES_MAX = 65_536

export interface SendEvents {
  sendTrailers(
    stream: Http2Stream,
    headers: readonly string[],
    extra: readonly string[] | null,
  ): void
  /** DATA frames were sent. */
  onFrames(): void
  onSent(stream: Http2Stream): void
}

/**
 * Flow control of what is sent (§5.2, §6.9): DATA goes as far as the windows of stream and
 * connection, the rest waits. Streams that wait for the connection take turns, a frame each.
 */
export class SendWindows {
  readonly #writer: FrameWriter
  readonly #events: SendEvents
  /** Those with something that waits, whichever window it waits for. */
  readonly #waiting = new Set<Http2Stream>()
  connection: number = WINDOW_BYTES_INITIAL
  waitingBytes = 0

  constructor(writer: FrameWriter, events: SendEvents) {
    this.#writer = writer
    this.#events = events
  }

  /** Returns whether all of it is in frames. */
  send(stream: Http2Stream, bytes: Uint8Array, isLast: boolean): boolean {
    let from = 0
    const { length } = bytes
    if (stream.waiting === null) {
      this.#events.onFrames()
      const most = Math.min(this.#writer.frameBytesMax, DATA_BYTES_MAX)
      do {
        const size = Math.min(length - from, most, stream.sendWindow, this.connection)
        if (size <= 0 && length > 0) break
        this.#frame(stream, bytes, from, from + size, isLast && from + size === length)
        from += size
      } while (from < length)
      if (from === length) return true
    }
    this.#wait(stream, bytes.subarray(from), isLast)
    return false
  }

  /** As `send` for two pieces that belong together; small ones share a frame. */
  sendPair(
    stream: Http2Stream,
    { head, body }: { readonly head: Uint8Array; readonly body: Uint8Array },
    isLast: boolean,
  ): boolean {
    const size = head.length + body.length
    const most = Math.min(this.#writer.frameBytesMax, stream.sendWindow, this.connection)
    if (stream.waiting !== null || size > most) {
      this.send(stream, head, isLast && body.length === 0)
      return body.length === 0 ? stream.waiting === null : this.send(stream, body, isLast)
    }
    this.#events.onFrames()
    stream.sendWindow -= size
    this.connection -= size
    this.#writer.dataPair(stream.id, head, body, isLast)
    return true
  }

  /** Returns false when they have to wait for content. */
  sendTrailers(
    stream: Http2Stream,
    fixed: readonly string[],
    extra: readonly string[] | null,
  ): boolean {
    const { waiting } = stream
    if (waiting === null) return true
    waiting.trailers = fixed
    waiting.extra = extra
    return false
  }

  widenConnection(more: number): void {
    this.connection += more
    this.#goOn()
  }

  widen(stream: Http2Stream, more: number): void {
    stream.sendWindow += more
    if (stream.waiting !== null) this.#goOn()
  }

  /** §6.9.2: a new INITIAL_WINDOW_SIZE moves all windows, perhaps below zero. */
  shift(streams: Iterable<Http2Stream>, by: number): void {
    for (const stream of streams) {
      stream.sendWindow += by
      if (stream.sendWindow > WINDOW_BYTES_MAX) {
        throw new Http2Error(ERROR.FLOW_CONTROL_ERROR, 'a window of a stream above 2^31 - 1')
      }
    }
    if (by > 0) this.#goOn()
  }

  forget(stream: Http2Stream): void {
    if (stream.waiting === null) return
    this.waitingBytes -= stream.waitingBytes
    stream.waiting = null
    stream.waitingBytes = 0
    this.#waiting.delete(stream)
  }

  #frame(stream: Http2Stream, bytes: Uint8Array, from: number, to: number, isLast: boolean): void {
    stream.sendWindow -= to - from
    this.connection -= to - from
    this.#writer.data(stream.id, bytes, from, to, isLast)
  }

  #wait(stream: Http2Stream, rest: Uint8Array, isLast: boolean): void {
    if (stream.waiting === null) {
      stream.waiting = { pieces: [], sent: 0, trailers: null, extra: null, endStream: false }
      this.#waiting.add(stream)
    }
    stream.waiting.pieces.push(Buffer.from(rest))
    stream.waiting.endStream = isLast
    stream.waitingBytes += rest.length
    this.waitingBytes += rest.length
  }

  /** A frame for each stream in turn, while anything can move. */
  #goOn(): void {
    for (let hasMoved = true; hasMoved;) {
      hasMoved = false
      for (const stream of this.#waiting) {
        const { waiting } = stream
        if (waiting !== null && this.#sendOne(stream, waiting)) hasMoved = true
      }
    }
  }

  /** Returns whether something was sent. */
  #sendOne(stream: Http2Stream, waiting: Waiting): boolean {
    const piece = waiting.pieces[0]!
    const { frameBytesMax } = this.#writer
    const left = piece.length - waiting.sent
    const size = Math.min(left, frameBytesMax, DATA_BYTES_MAX, stream.sendWindow, this.connection)
    // An empty piece is the end of the stream, which no window holds up.
    if (size <= 0 && left > 0) return false
    const isEnd = size === left && waiting.pieces.length === 1
    this.#frame(stream, piece, waiting.sent, waiting.sent + size, isEnd && waiting.endStream)
    this.#events.onFrames()
    waiting.sent += size
    stream.waitingBytes -= size
    this.waitingBytes -= size
    if (size === left) {
      waiting.pieces.shift()
      waiting.sent = 0
    }
    if (isEnd) {
      stream.waiting = null
      this.#waiting.delete(stream)
      const { trailers, extra } = waiting
      if (trailers !== null) this.#events.sendTrailers(stream, trailers, extra)
      this.#events.onSent(stream)
    }
    return true
  }
}
