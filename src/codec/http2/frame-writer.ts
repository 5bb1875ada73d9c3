import { FLAG, FRAME, FRAME_BYTES_LEAST, FRAME_HEADER_BYTES } from './spec.ts'

/** Where frames are written: `reserve` makes room in `buffer` and says where it starts. */
export interface FrameSink {
  readonly buffer: Buffer
  at: number
  reserve(size: number): number
}

/** Writes frames (§6) into what a connection says in this turn. */
export class FrameWriter {
  readonly #sink: FrameSink
  /** SETTINGS_MAX_FRAME_SIZE of the peer. */
  frameBytesMax: number = FRAME_BYTES_LEAST

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  bytes(bytes: Uint8Array): void {
    const sink = this.#sink
    const at = sink.reserve(bytes.length)
    sink.buffer.set(bytes, at)
    sink.at = at + bytes.length
  }

  /** One DATA frame; the caller has looked at windows and size. */
  data(streamId: number, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    const size = end - start
    const at = this.#head(FRAME.DATA, endStream ? FLAG.END_STREAM : 0, streamId, size)
    const { buffer } = this.#sink
    copy(buffer, at, size === bytes.length ? bytes : bytes.subarray(start, end))
  }

  /** One DATA frame of two pieces. */
  dataPair(streamId: number, head: Uint8Array, body: Uint8Array, endStream: boolean): void {
    const flags = endStream ? FLAG.END_STREAM : 0
    const at = this.#head(FRAME.DATA, flags, streamId, head.length + body.length)
    const { buffer } = this.#sink
    copy(buffer, at, head)
    copy(buffer, at + head.length, body)
  }

  /** A block, in CONTINUATION frames when it is larger than one. */
  headers(streamId: number, block: Uint8Array, endStream: boolean): void {
    const { frameBytesMax } = this
    const ends = endStream ? FLAG.END_STREAM : 0
    if (block.length <= frameBytesMax) {
      const at = this.#head(FRAME.HEADERS, ends | FLAG.END_HEADERS, streamId, block.length)
      this.#sink.buffer.set(block, at)
      return
    }
    for (let from = 0; from < block.length; from += frameBytesMax) {
      const part = block.subarray(from, from + frameBytesMax)
      const isLast = from + frameBytesMax >= block.length ? FLAG.END_HEADERS : 0
      const type = from === 0 ? FRAME.HEADERS : FRAME.CONTINUATION
      const at = this.#head(type, (from === 0 ? ends : 0) | isLast, streamId, part.length)
      this.#sink.buffer.set(part, at)
    }
  }

  rstStream(streamId: number, code: number): void {
    this.#u32(this.#head(FRAME.RST_STREAM, 0, streamId, 4), code)
  }

  windowUpdate(streamId: number, bytes: number): void {
    this.#u32(this.#head(FRAME.WINDOW_UPDATE, 0, streamId, 4), bytes)
  }

  /** Pairs of a setting and its value. */
  settings(values: readonly (readonly [number, number])[]): void {
    let at = this.#head(FRAME.SETTINGS, 0, 0, values.length * 6)
    const { buffer } = this.#sink
    for (const [setting, value] of values) {
      buffer[at] = setting >>> 8
      buffer[at + 1] = setting
      this.#u32(at + 2, value)
      at += 6
    }
  }

  settingsAck(): void {
    this.#head(FRAME.SETTINGS, FLAG.ACK, 0, 0)
  }

  /** `payload` has 8 octets from `start` on. */
  ping(payload: Uint8Array, start: number, isAck: boolean): void {
    const at = this.#head(FRAME.PING, isAck ? FLAG.ACK : 0, 0, 8)
    this.#sink.buffer.set(payload.subarray(start, start + 8), at)
  }

  goaway(lastStreamId: number, code: number, text: string): void {
    const debug = Buffer.from(text, 'utf8')
    const at = this.#head(FRAME.GOAWAY, 0, 0, 8 + debug.length)
    this.#u32(at, lastStreamId)
    this.#u32(at + 4, code)
    this.#sink.buffer.set(debug, at + 8)
  }

  /** Writes the nine octets, moves the sink behind the whole frame, returns the payload's start. */
  #head(type: number, flags: number, streamId: number, size: number): number {
    const sink = this.#sink
    const at = sink.reserve(FRAME_HEADER_BYTES + size)
    const { buffer } = sink
    buffer[at] = size >>> 16
    buffer[at + 1] = size >>> 8
    buffer[at + 2] = size
    buffer[at + 3] = type
    buffer[at + 4] = flags
    this.#u32(at + 5, streamId)
    sink.at = at + FRAME_HEADER_BYTES + size
    return at + FRAME_HEADER_BYTES
  }

  #u32(at: number, value: number): void {
    const { buffer } = this.#sink
    buffer[at] = value >>> 24
    buffer[at + 1] = value >>> 16
    buffer[at + 2] = value >>> 8
    buffer[at + 3] = value
  }
}

/** A call into the engine costs more than a few octets. */
function copy(target: Buffer, at: number, bytes: Uint8Array): void {
  const { length } = bytes
  if (length < 32) for (let index = 0; index < length; index++) target[at + index] = bytes[index]!
  else target.set(bytes, at)
}
