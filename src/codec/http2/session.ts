import { FrameParser } from './frame-parser.ts'
import { FloodGuard } from './flood-guard.ts'
import { FrameWriter } from './frame-writer.ts'
import type { Http2Handler, Http2Options, SendOptions } from './handler.ts'
import { HeaderBlock } from './header-block.ts'
import type { HeaderList } from './header-list.ts'
import { readRequest, readResponse, trailersFault } from './header-rules.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { Http2Error } from './http2-error.ts'
import {
  CONNECTION_WINDOW_BYTES_DEFAULT,
  ENDED_STREAMS_KEPT,
  HEADER_LIST_BYTES_MAX,
  STREAMS_MAX_DEFAULT,
  STREAM_WINDOW_BYTES_DEFAULT,
} from './limits.ts'
import { PeerSettings } from './peer-settings.ts'
import { SendWindows } from './send-windows.ts'
import {
  ERROR,
  FLAG,
  FRAME,
  PREFACE,
  SETTING,
  STREAM_ID_MAX,
  WINDOW_BYTES_INITIAL,
  WINDOW_BYTES_MAX,
} from './spec.ts'
import { ENDED, type EndedHow, EndedStreams, Http2Stream } from './stream.ts'

/** Payload of the PING that ends a drain, and of the one that asks for life. */
const DRAIN_PING: Buffer = Buffer.from('way:stop', 'latin1')
const LIFE_PING: Buffer = Buffer.from('way:live', 'latin1')

/**
 * One HTTP/2 connection (RFC 9113) without socket or clock: bytes of the peer go into `push`,
 * frames for it come out into the sink, and streams are told of to the handler.
 *
 * A peer that breaks the rules of a stream has it reset; one that breaks the connection's gets
 * GOAWAY with the code and the reason, `failure` is set, and nothing more is taken.
 */
export class Http2Session {
  readonly isServer: boolean
  readonly #handler: Http2Handler
  readonly #parser: FrameParser
  readonly #writer: FrameWriter
  readonly #decoder = new HpackDecoder()
  readonly #encoder = new HpackEncoder()
  readonly #block = new HeaderBlock()
  readonly #peer = new PeerSettings()
  readonly #windows: SendWindows
  readonly #streams = new Map<number, Http2Stream>()
  readonly #ended = new EndedStreams(ENDED_STREAMS_KEPT)
  readonly #streamsMax: number
  readonly #streamWindow: number
  readonly #connectionWindow: number
  #receiveWindow: number
  #taken = 0
  #hasSettings = false
  /** Highest id the peer opened, and the next this side opens. */
  #lastPeerId = 0
  #nextId: number
  /** Server: the last id that is served, once the peer was told. Client: the peer goes away. */
  #lastServedId = STREAM_ID_MAX
  #isDraining = false
  #isPeerLeaving = false
  readonly #flood = new FloodGuard()
  /** Why the connection is over; null while it is not. */
  failure: Http2Error | null = null

  constructor(options: Http2Options) {
    this.isServer = options.role === 'server'
    this.#handler = options.handler
    this.#streamsMax = options.streamsMax ?? STREAMS_MAX_DEFAULT
    this.#streamWindow = options.streamWindowBytes ?? STREAM_WINDOW_BYTES_DEFAULT
    this.#connectionWindow = options.connectionWindowBytes ?? CONNECTION_WINDOW_BYTES_DEFAULT
    this.#receiveWindow = this.#connectionWindow
    this.#nextId = this.isServer ? 2 : 1
    this.#parser = new FrameParser(this, { expectsPreface: this.isServer })
    this.#writer = new FrameWriter(options.sink)
    this.#windows = new SendWindows(this.#writer, {
      sendTrailers: (stream, headers, extra) => this.#writeHeaders(stream, headers, extra, true),
      onFrames: () => this.#flood.useful(),
      onSent: (stream) => {
        if (stream.ended) this.#finishIfBoth(stream)
        if (!stream.isOver) this.#handler.onSent(stream)
      },
    })
    this.#begin()
  }

  get streamCount(): number {
    return this.#streams.size
  }

  /** Whether the peer takes another stream now; only a client asks. */
  get hasRoom(): boolean {
    return (
      this.failure === null &&
      !this.#isPeerLeaving &&
      this.#hasSettings &&
      this.#streams.size < this.#peer.streamsMax &&
      this.#nextId <= STREAM_ID_MAX
    )
  }

  /** No stream can ever be opened any more. */
  get isLeaving(): boolean {
    return this.failure !== null || this.#isPeerLeaving || this.#nextId > STREAM_ID_MAX
  }

  /** Octets that wait for the peer's windows, over all streams. */
  get waitingBytes(): number {
    return this.#windows.waitingBytes
  }

  /** A drain that has nothing left to do: the connection may be closed. */
  get isDrained(): boolean {
    return this.#isDraining && this.#lastServedId !== STREAM_ID_MAX && this.#streams.size === 0
  }

  /** Takes a read of the socket. */
  push(bytes: Buffer): void {
    if (this.failure !== null) return
    try {
      this.#parser.push(bytes)
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error
      this.#fail(error)
    }
  }

  /** Client: opens a stream. `fixed` is a list that comes again, `extra` this request's own. */
  open(
    fixed: readonly string[],
    extra: readonly string[] | null,
    { isLast = false, owner = null }: { readonly isLast?: boolean; readonly owner?: unknown } = {},
  ): Http2Stream {
    const stream = new Http2Stream(this.#nextId, this.#peer.streamWindow, this.#streamWindow)
    this.#nextId += 2
    stream.owner = owner
    this.#streams.set(stream.id, stream)
    this.#writeHeaders(stream, fixed, extra, isLast)
    return stream
  }

  /** Server: the head of the answer, or all of it. */
  sendHeaders(
    stream: Http2Stream,
    fixed: readonly string[],
    { extra = null, isLast = false }: SendOptions = {},
  ): void {
    if (stream.ended || stream.isOver) return
    this.#writeHeaders(stream, fixed, extra, isLast)
    if (isLast) this.#finishIfBoth(stream)
  }

  /**
   * Sends `bytes[start, end)` as far as the peer's windows go; the rest is copied and waits, which
   * `stream.waitingBytes` tells: whoever adds to it without end holds it.
   */
  sendData(stream: Http2Stream, bytes: Uint8Array, isLast: boolean): void {
    if (stream.ended || stream.isOver) return
    stream.ended = isLast
    if (this.#windows.send(stream, bytes, isLast) && isLast) this.#finishIfBoth(stream)
  }

  /** As `sendData` for two pieces that belong together, such as a message behind its length. */
  sendPair(stream: Http2Stream, head: Uint8Array, body: Uint8Array, isLast = false): void {
    if (stream.ended || stream.isOver) return
    stream.ended = isLast
    if (this.#windows.sendPair(stream, { head, body }, isLast) && isLast) {
      this.#finishIfBoth(stream)
    }
  }

  /** Ends this side with fields after the content, when that is sent. */
  sendTrailers(
    stream: Http2Stream,
    fixed: readonly string[],
    extra: readonly string[] | null = null,
  ): void {
    if (stream.ended || stream.isOver) return
    if (this.#windows.sendTrailers(stream, fixed, extra)) {
      this.#writeHeaders(stream, fixed, extra, true)
      this.#finishIfBoth(stream)
    }
    stream.ended = true
  }

  /** This side is done with a stream whose peer may still send: it is told to stop (§8.1). */
  reset(stream: Http2Stream, code: number): void {
    if (stream.isOver) return
    this.#writer.rstStream(stream.id, code)
    this.#drop(stream, ENDED.RESET_BY_US)
  }

  /** The peer may send so much again: its content was dealt with. */
  taken(stream: Http2Stream, bytes: number): void {
    if (bytes === 0 || this.failure !== null) return
    this.#takenFromConnection(bytes)
    if (stream.isOver || stream.peerEnded) return
    stream.taken += bytes
    if (stream.taken < this.#streamWindow / 2) return
    stream.receiveWindow += stream.taken
    this.#writer.windowUpdate(stream.id, stream.taken)
    stream.taken = 0
  }

  /** Asks whether the peer is there; `onPong` follows. */
  ping(): void {
    if (this.failure === null) this.#writer.ping(LIFE_PING, 0, false)
  }

  /**
   * Server: stops gracefully (§6.8). Streams that are on their way are served still; `isDrained`
   * says when the last one has ended.
   */
  drain(text: string): void {
    if (this.#isDraining || this.failure !== null) return
    this.#isDraining = true
    this.#writer.goaway(STREAM_ID_MAX, ERROR.NO_ERROR, text)
    this.#writer.ping(DRAIN_PING, 0, false)
  }

  /** Ends the connection for a reason of this side; every stream is told. */
  fail(code: number, text: string): void {
    if (this.failure === null) this.#fail(new Http2Error(code, text))
  }

  /** The connection is gone: every stream is told. Also safe after `fail`. */
  lose(): void {
    this.failure ??= new Http2Error(ERROR.CONNECT_ERROR, 'the connection was lost')
    this.#parser.stop()
    this.#dropAll(ERROR.CONNECT_ERROR)
  }

  /** Once a second, by whoever has a clock: forgives some of what floods are counted by. */
  replenish(): void {
    this.#flood.replenish()
  }

  /** Called by the parser. */
  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    if (this.#block.isOpen && (type !== FRAME.CONTINUATION || streamId !== this.#block.streamId)) {
      throw broken('a frame inside a header block')
    }
    if (!this.#hasSettings && (type !== FRAME.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      throw broken('the first frame is not SETTINGS')
    }
    switch (type) {
      case FRAME.DATA:
        return this.#onData(flags, streamId, bytes, start, end)
      case FRAME.HEADERS:
        this.#checkHeaders(streamId)
        if (this.#block.begin(flags, streamId, bytes, start, end)) this.#onBlock(bytes)
        return
      case FRAME.CONTINUATION:
        if (this.#block.add(flags, bytes, start, end)) this.#onBlock(bytes)
        return
      case FRAME.PRIORITY:
        return this.#onPriority(streamId, bytes, start, end)
      case FRAME.RST_STREAM:
        return this.#onRstStream(streamId, bytes, start, end)
      case FRAME.SETTINGS:
        return this.#onSettings(flags, streamId, bytes, start, end)
      case FRAME.PUSH_PROMISE:
        throw broken('PUSH_PROMISE, which nobody may send here')
      case FRAME.PING:
        return this.#onPing(flags, streamId, bytes, start, end)
      case FRAME.GOAWAY:
        return this.#onGoaway(streamId, bytes, start, end)
      case FRAME.WINDOW_UPDATE:
        return this.#onWindowUpdate(streamId, bytes, start, end)
      default:
        // §5.5: what is unknown is ignored.
        this.#flood.idle()
    }
  }

  // --- what the peer sends ---

  #onData(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0) throw broken('DATA on stream 0')
    const size = end - start
    this.#receiveWindow -= size
    if (this.#receiveWindow < 0) throw overflown('DATA beyond the window of the connection')
    let from = start
    let to = end
    if ((flags & FLAG.PADDED) !== 0) {
      if (size === 0) throw new Http2Error(ERROR.FRAME_SIZE_ERROR, 'a padded frame without length')
      from = start + 1
      to = end - bytes[start]!
      if (to < from) throw broken('more padding than payload')
    }
    const isLast = (flags & FLAG.END_STREAM) !== 0
    if (to === from && !isLast) this.#flood.idle()
    else this.#flood.useful()
    const stream = this.#streams.get(streamId)
    if (stream === undefined || stream.peerEnded) {
      this.#takenFromConnection(size)
      return this.#onStray(streamId, stream, 'DATA')
    }
    stream.receiveWindow -= size
    if (stream.receiveWindow < 0) {
      this.#takenFromConnection(size)
      return this.#blame(stream, ERROR.FLOW_CONTROL_ERROR)
    }
    stream.contentBytes += to - from
    if (!stream.hasHeaders || !isLengthKept(stream, isLast)) {
      this.#takenFromConnection(size)
      return this.#blame(stream, ERROR.PROTOCOL_ERROR)
    }
    if (size > to - from) this.taken(stream, size - (to - from))
    stream.peerEnded = isLast
    this.#handler.onData(stream, bytes, from, to, isLast)
    if (isLast) this.#finishIfBoth(stream)
  }

  /** Before the block is read: what may not be there at all. */
  #checkHeaders(streamId: number): void {
    if (streamId === 0) throw broken('HEADERS on stream 0')
    if (this.#streams.has(streamId)) return
    if (!this.isServer) {
      if (streamId % 2 === 0 || streamId >= this.#nextId) {
        throw broken(`HEADERS on stream ${streamId}, which nobody opened`)
      }
      return
    }
    if (streamId % 2 === 0) throw broken(`stream ${streamId} is not a client's to open`)
    if (streamId > this.#lastPeerId) return
    const how = this.#ended.howOf(streamId)
    if (this.#isLateFrame(streamId)) return
    if (how === null) throw broken(`stream ${streamId} after stream ${this.#lastPeerId}`)
    throw new Http2Error(ERROR.STREAM_CLOSED, `HEADERS on stream ${streamId}, which has ended`)
  }

  /** A block is whole. It is decoded in any case: the table is the connection's. */
  #onBlock(frame: Buffer): void {
    const block = this.#block
    const { streamId, isLast } = block
    const headers = this.#decoder.decode(block.bytes ?? frame, block.start, block.end)
    block.close()
    const known = this.#streams.get(streamId)
    if (known !== undefined) return this.#onNextHeaders(known, headers, isLast)
    if (!this.isServer || streamId <= this.#lastPeerId) return
    this.#onRequest(streamId, headers, isLast)
  }

  #onRequest(streamId: number, headers: HeaderList, isLast: boolean): void {
    this.#lastPeerId = streamId
    this.#flood.useful()
    if (streamId > this.#lastServedId || this.#streams.size >= this.#streamsMax) {
      this.#writer.rstStream(streamId, ERROR.REFUSED_STREAM)
      this.#ended.add(streamId, ENDED.RESET_BY_US)
      return this.#flood.endedEarly()
    }
    const stream = new Http2Stream(streamId, this.#peer.streamWindow, this.#streamWindow)
    this.#streams.set(streamId, stream)
    if (!headers.isRead) readRequest(headers)
    stream.contentLength = headers.contentLength
    if (headers.fault !== '' || this.#block.dependsOnItself || !isLengthKept(stream, isLast)) {
      return this.#blame(stream, ERROR.PROTOCOL_ERROR)
    }
    stream.hasHeaders = true
    stream.peerEnded = isLast
    this.#handler.onHeaders(stream, headers, isLast)
    if (isLast) this.#finishIfBoth(stream)
  }

  /** Trailers, or a client's response. */
  #onNextHeaders(stream: Http2Stream, headers: HeaderList, isLast: boolean): void {
    if (stream.peerEnded) return this.#blame(stream, ERROR.STREAM_CLOSED)
    if (stream.hasHeaders) {
      const isBad = !isLast || trailersFault(headers) !== '' || !isLengthKept(stream, true)
      if (isBad || headers.isTooLarge) {
        return this.#blame(stream, ERROR.PROTOCOL_ERROR)
      }
      stream.peerEnded = true
      this.#handler.onTrailers(stream, headers)
      return this.#finishIfBoth(stream)
    }
    if (!headers.isRead) readResponse(headers)
    if (headers.fault !== '') return this.#blame(stream, ERROR.PROTOCOL_ERROR)
    if (headers.status < 200) {
      // §8.1: informational, and never the end.
      if (isLast || headers.status === 101) this.#blame(stream, ERROR.PROTOCOL_ERROR)
      else this.#flood.idle()
      return
    }
    this.#flood.useful()
    stream.hasHeaders = true
    stream.peerEnded = isLast
    stream.contentLength = headers.contentLength
    this.#handler.onHeaders(stream, headers, isLast)
    if (isLast) this.#finishIfBoth(stream)
  }

  #onPriority(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0) throw broken('PRIORITY on stream 0')
    this.#flood.idle()
    const isWrong = end - start !== 5
    if (!isWrong && (u32(bytes, start) & STREAM_ID_MAX) !== streamId) return
    const code = isWrong ? ERROR.FRAME_SIZE_ERROR : ERROR.PROTOCOL_ERROR
    const stream = this.#streams.get(streamId)
    if (stream !== undefined) return this.#blame(stream, code)
    // RST_STREAM on a stream that nobody opened would be a mistake of ours.
    throw new Http2Error(code, `PRIORITY of stream ${streamId} is malformed`)
  }

  #onRstStream(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0) throw broken('RST_STREAM on stream 0')
    if (end - start !== 4) throw new Http2Error(ERROR.FRAME_SIZE_ERROR, 'RST_STREAM has 4 octets')
    this.#flood.idle()
    const stream = this.#streams.get(streamId)
    if (stream === undefined) return this.#checkOpened(streamId, 'RST_STREAM')
    const isEarly = this.isServer && !stream.ended
    this.#drop(stream, ENDED.RESET_BY_PEER)
    this.#handler.onReset(stream, u32(bytes, start))
    if (isEarly) this.#flood.endedEarly()
  }

  #onSettings(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw broken('SETTINGS on a stream')
    this.#flood.idle()
    if ((flags & FLAG.ACK) !== 0) {
      if (end > start) throw new Http2Error(ERROR.FRAME_SIZE_ERROR, 'SETTINGS ACK with a payload')
      return
    }
    const peer = this.#peer
    const streamWindow = peer.streamWindow
    peer.read(bytes, start, end, this.isServer)
    this.#writer.frameBytesMax = peer.frameBytesMax
    this.#encoder.setTableBytesMax(peer.tableBytesMax)
    this.#writer.settingsAck()
    this.#hasSettings = true
    if (peer.streamWindow !== streamWindow) {
      this.#windows.shift(this.#streams.values(), peer.streamWindow - streamWindow)
    }
    if (!this.isServer) this.#handler.onRoom()
  }

  #onPing(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw broken('PING on a stream')
    if (end - start !== 8) throw new Http2Error(ERROR.FRAME_SIZE_ERROR, 'PING has 8 octets')
    this.#flood.idle()
    if ((flags & FLAG.ACK) === 0) return this.#writer.ping(bytes, start, true)
    if (bytes.compare(DRAIN_PING, 0, 8, start, end) !== 0) return this.#handler.onPong()
    if (!this.#isDraining || this.#lastServedId !== STREAM_ID_MAX) return
    // All the peer opened before it knew has arrived by now.
    this.#lastServedId = this.#lastPeerId
    this.#writer.goaway(this.#lastPeerId, ERROR.NO_ERROR, '')
  }

  #onGoaway(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) throw broken('GOAWAY on a stream')
    if (end - start < 8) throw new Http2Error(ERROR.FRAME_SIZE_ERROR, 'GOAWAY has 8 octets or more')
    this.#flood.idle()
    const lastId = u32(bytes, start) & STREAM_ID_MAX
    this.#isPeerLeaving = true
    if (!this.isServer) {
      for (const stream of this.#streams.values()) {
        if (stream.id <= lastId) continue
        this.#drop(stream, ENDED.RESET_BY_PEER)
        this.#handler.onReset(stream, ERROR.REFUSED_STREAM)
      }
    }
    this.#handler.onGoaway(
      u32(bytes, start + 4),
      bytes.toString('utf8', start + 8, Math.min(end, start + 264)),
    )
  }

  #onWindowUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4)
      throw new Http2Error(ERROR.FRAME_SIZE_ERROR, 'WINDOW_UPDATE has 4 octets')
    this.#flood.idle()
    const more = u32(bytes, start) & WINDOW_BYTES_MAX
    if (streamId === 0) {
      if (more === 0) throw broken('WINDOW_UPDATE of nothing')
      if (this.#windows.connection + more > WINDOW_BYTES_MAX) {
        throw overflown('a window of the connection above 2^31 - 1')
      }
      return this.#windows.widenConnection(more)
    }
    const stream = this.#streams.get(streamId)
    if (stream === undefined) return this.#checkOpened(streamId, 'WINDOW_UPDATE')
    if (more === 0) return this.#blame(stream, ERROR.PROTOCOL_ERROR)
    if (stream.sendWindow + more > WINDOW_BYTES_MAX) {
      return this.#blame(stream, ERROR.FLOW_CONTROL_ERROR)
    }
    this.#windows.widen(stream, more)
  }

  // --- inside ---

  #begin(): void {
    if (!this.isServer) this.#writer.bytes(PREFACE)
    this.#writer.settings([
      this.isServer ? [SETTING.MAX_CONCURRENT_STREAMS, this.#streamsMax] : [SETTING.ENABLE_PUSH, 0],
      [SETTING.INITIAL_WINDOW_SIZE, this.#streamWindow],
      [SETTING.MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX],
    ])
    const more = this.#connectionWindow - WINDOW_BYTES_INITIAL
    if (more > 0) this.#writer.windowUpdate(0, more)
  }

  #writeHeaders(
    stream: Http2Stream,
    fixed: readonly string[],
    extra: readonly string[] | null,
    isLast: boolean,
  ): void {
    if (isLast) stream.ended = true
    this.#writer.headers(stream.id, this.#encoder.encode(fixed, extra), isLast)
  }

  #takenFromConnection(bytes: number): void {
    this.#taken += bytes
    if (this.#taken < this.#connectionWindow / 2) return
    this.#receiveWindow += this.#taken
    this.#writer.windowUpdate(0, this.#taken)
    this.#taken = 0
  }

  /** A frame for a stream that is not, or whose peer said that it had ended (§5.1). */
  #onStray(streamId: number, stream: Http2Stream | undefined, what: string): void {
    if (stream !== undefined) return this.#blame(stream, ERROR.STREAM_CLOSED)
    this.#checkOpened(streamId, what)
    if (this.#isLateFrame(streamId)) return
    throw new Http2Error(ERROR.STREAM_CLOSED, `${what} on stream ${streamId}, which has ended`)
  }

  /**
   * Whether a frame of an ended stream is no reason to end the connection. Of one that was reset
   * here it was on its way. After its own RST_STREAM a peer should send nothing, but some clients do
   * when a call is cancelled while it is written, and their other calls go on.
   */
  #isLateFrame(streamId: number): boolean {
    const how = this.#ended.howOf(streamId)
    if (how === ENDED.RESET_BY_US) return true
    if (how !== ENDED.RESET_BY_PEER) return false
    this.#writer.rstStream(streamId, ERROR.STREAM_CLOSED)
    this.#ended.add(streamId, ENDED.RESET_BY_US)
    if (this.isServer) this.#flood.endedEarly()
    return true
  }

  #checkOpened(streamId: number, what: string): void {
    const isOurs = streamId % 2 === this.#nextId % 2
    if (isOurs ? streamId >= this.#nextId : streamId > this.#lastPeerId) {
      throw broken(`${what} on stream ${streamId}, which nobody opened`)
    }
  }

  /** A stream error (§5.4.2). */
  #blame(stream: Http2Stream, code: number): void {
    this.#writer.rstStream(stream.id, code)
    this.#drop(stream, ENDED.RESET_BY_US)
    this.#handler.onReset(stream, code)
    if (this.isServer) this.#flood.endedEarly()
  }

  #finishIfBoth(stream: Http2Stream): void {
    if (!stream.ended || !stream.peerEnded || stream.waiting !== null || stream.isOver) return
    this.#drop(stream, ENDED.WELL)
    this.#flood.endedWell()
  }

  #drop(stream: Http2Stream, how: EndedHow): void {
    const wasFull = !this.isServer && this.#streams.size >= this.#peer.streamsMax
    stream.isOver = true
    this.#streams.delete(stream.id)
    this.#ended.add(stream.id, how)
    this.#windows.forget(stream)
    if (wasFull) this.#handler.onRoom()
  }

  #dropAll(code: number): void {
    for (const stream of this.#streams.values()) {
      stream.isOver = true
      this.#windows.forget(stream)
      this.#handler.onReset(stream, code)
    }
    this.#streams.clear()
  }

  #fail(error: Http2Error): void {
    this.failure = error
    this.#parser.stop()
    this.#writer.goaway(this.#lastPeerId, error.code, error.message)
    this.#dropAll(error.code)
  }
}

/** §8.1.1: content is as long as content-length says. */
function isLengthKept(stream: Http2Stream, isLast: boolean): boolean {
  const { contentLength, contentBytes } = stream
  if (contentLength < 0) return true
  return isLast ? contentBytes === contentLength : contentBytes <= contentLength
}

function u32(bytes: Buffer, at: number): number {
  return (
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
  )
}

function broken(text: string): Http2Error {
  return new Http2Error(ERROR.PROTOCOL_ERROR, text)
}

function overflown(text: string): Http2Error {
  return new Http2Error(ERROR.FLOW_CONTROL_ERROR, text)
}
