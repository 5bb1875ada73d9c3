import { Http2Error } from './http2-error.ts'
import { FRAME_BYTES_MAX } from './limits.ts'
import { ERROR, FRAME_HEADER_BYTES, PREFACE } from './spec.ts'

/** Takes whole frames; the payload is `bytes[start, end)`, borrowed for the call. */
export interface FrameHandler {
  onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void
}

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Cuts reads of a socket into frames (§4.1):
 *
 *     length (24) type (8) flags (8) reserved (1) stream (31) payload
 *
 * A frame that lies whole in a read is handed on where it lies; one that a read cuts is gathered,
 * and so at most `FRAME_BYTES_MAX` octets are held.
 */
export class FrameParser {
  readonly #handler: FrameHandler
  /** Octets of the client's preface that are still to come. */
  #prefaceLeft: number
  #kept: Buffer = NOTHING
  #keptBytes = 0
  #stopped = false

  constructor(handler: FrameHandler, { expectsPreface }: { readonly expectsPreface: boolean }) {
    this.#handler = handler
    this.#prefaceLeft = expectsPreface ? PREFACE.length : 0
  }

  /** Octets kept of a frame whose end has not come. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /** Whatever else comes is dropped. */
  stop(): void {
    this.#stopped = true
    this.#kept = NOTHING
    this.#keptBytes = 0
  }

  /** Takes a read. Throws `Http2Error`, also the handler's. */
  push(bytes: Buffer): void {
    let at = this.#prefaceLeft > 0 ? this.#preface(bytes) : 0
    if (this.#keptBytes > 0) at = this.#continueFrame(bytes, at)
    while (!this.#stopped && bytes.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + lengthAt(bytes, at)
      if (end > bytes.length) break
      this.#frame(bytes, at, end)
      at = end
    }
    if (!this.#stopped && at < bytes.length) this.#keep(bytes, at, bytes.length)
  }

  #preface(bytes: Buffer): number {
    const from = PREFACE.length - this.#prefaceLeft
    const size = Math.min(bytes.length, this.#prefaceLeft)
    if (bytes.compare(PREFACE, from, from + size, 0, size) !== 0) {
      throw new Http2Error(ERROR.PROTOCOL_ERROR, 'the connection does not begin with the preface')
    }
    this.#prefaceLeft -= size
    return size
  }

  #continueFrame(bytes: Buffer, start: number): number {
    let at = start
    if (this.#keptBytes < FRAME_HEADER_BYTES) {
      const size = Math.min(FRAME_HEADER_BYTES - this.#keptBytes, bytes.length - at)
      this.#keep(bytes, at, at + size)
      at += size
      if (this.#keptBytes < FRAME_HEADER_BYTES) return at
    }
    const whole = FRAME_HEADER_BYTES + lengthAt(this.#kept, 0)
    const size = Math.min(whole - this.#keptBytes, bytes.length - at)
    this.#keep(bytes, at, at + size)
    at += size
    if (this.#keptBytes < whole) return at
    this.#keptBytes = 0
    this.#frame(this.#kept, 0, whole)
    return at
  }

  /** Grows with what has come, so a length alone takes no memory. */
  #keep(bytes: Buffer, start: number, end: number): void {
    const needed = this.#keptBytes + end - start
    if (needed > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(64, 2 ** Math.ceil(Math.log2(needed))))
      larger.set(this.#kept.subarray(0, this.#keptBytes), 0)
      this.#kept = larger
    }
    this.#kept.set(bytes.subarray(start, end), this.#keptBytes)
    this.#keptBytes = needed
    if (needed >= FRAME_HEADER_BYTES) lengthAt(this.#kept, 0)
  }

  #frame(bytes: Buffer, at: number, end: number): void {
    const streamId =
      ((bytes[at + 5]! & 0x7f) << 24) |
      (bytes[at + 6]! << 16) |
      (bytes[at + 7]! << 8) |
      bytes[at + 8]!
    this.#handler.onFrame(
      bytes[at + 3]!,
      bytes[at + 4]!,
      streamId,
      bytes,
      at + FRAME_HEADER_BYTES,
      end,
    )
  }
}

/** §4.2: one that is too large may hold state we need, so the connection is over. */
function lengthAt(bytes: Buffer, at: number): number {
  const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
  if (length <= FRAME_BYTES_MAX) return length
  throw new Http2Error(
    ERROR.FRAME_SIZE_ERROR,
    `a frame of ${length} octets, limit is ${FRAME_BYTES_MAX}`,
  )
}
