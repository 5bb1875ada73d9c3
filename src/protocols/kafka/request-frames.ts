import { requestSize, SIZE_BYTES } from '../../codec/kafka/index.ts'

/** Told of each whole request; `bytes` from `start` to `end` are borrowed for the call. */
export interface FrameHandler {
  /** Largest request taken now, without its size prefix; a larger one throws. */
  readonly frameBytesMax: number
  /** False: no more until `push` is called again. */
  onFrame(bytes: Buffer, start: number, end: number): boolean
}

/**
 * So much is set aside for a request of which only the beginning came. Beyond it the buffer grows
 * as bytes come, so that a size that is only claimed takes no memory.
 */
const FIRST_BUFFER_BYTES = 64 * 1024
/** Buffers of that size that wait for the next request that comes in parts, of any connection. */
const SPARE_BUFFERS_MAX = 16
const spares: Buffer[] = []
const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Cuts requests out of a stream: `int32 size, size bytes` (protocol guide, 'Network'). A request
 * that lies in one read whole is handed on where it lies; only others are put together.
 */
export class RequestFrames {
  readonly #handler: FrameHandler
  /** The request that is being put together, from its size prefix on. */
  #partial: Buffer = NOTHING
  #have = 0
  #isStopped = false

  constructor(handler: FrameHandler) {
    this.#handler = handler
  }

  stop(): void {
    this.#isStopped = true
    this.#partial = NOTHING
    this.#have = 0
  }

  /** Returns how many of `bytes` were used: all of them unless the handler said false. */
  push(bytes: Buffer): number {
    let at = 0
    while (!this.#isStopped && at < bytes.length) {
      const left = bytes.length - at
      if (this.#have === 0 && left >= SIZE_BYTES) {
        const size = this.#sizeOf(bytes, at)
        if (left >= SIZE_BYTES + size) {
          const start = at + SIZE_BYTES
          at = start + size
          if (!this.#handler.onFrame(bytes, start, at)) return at
          continue
        }
      }
      at = this.#gather(bytes, at)
      if (!this.#isWhole()) continue
      const frame = this.#partial
      const end = this.#have
      this.#partial = NOTHING
      this.#have = 0
      const goesOn = this.#handler.onFrame(frame, SIZE_BYTES, end)
      // It was borrowed for the call, so the next one may have it.
      if (frame.length === FIRST_BUFFER_BYTES && spares.length < SPARE_BUFFERS_MAX) {
        spares.push(frame)
      }
      if (!goesOn) return at
    }
    return bytes.length
  }

  #isWhole(): boolean {
    return this.#have >= SIZE_BYTES && this.#have === SIZE_BYTES + this.#partial.readInt32BE(0)
  }

  /** Takes what belongs to the request that is being put together; returns where the rest starts. */
  #gather(bytes: Buffer, from: number): number {
    let at = from
    if (this.#have < SIZE_BYTES) {
      if (this.#partial.length === 0) this.#partial = Buffer.allocUnsafe(SIZE_BYTES)
      const count = Math.min(SIZE_BYTES - this.#have, bytes.length - at)
      bytes.copy(this.#partial, this.#have, at, at + count)
      this.#have += count
      at += count
      if (this.#have < SIZE_BYTES) return at
      this.#sizeOf(this.#partial, 0)
    }
    const whole = SIZE_BYTES + this.#partial.readInt32BE(0)
    const count = Math.min(whole - this.#have, bytes.length - at)
    this.#makeRoom(this.#have + count, whole)
    bytes.copy(this.#partial, this.#have, at, at + count)
    this.#have += count
    return at + count
  }

  #makeRoom(needed: number, whole: number): void {
    if (needed <= this.#partial.length) return
    const wider =
      whole <= FIRST_BUFFER_BYTES || needed <= FIRST_BUFFER_BYTES
        ? (spares.pop() ?? Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES))
        : Buffer.allocUnsafeSlow(Math.min(whole, Math.max(needed, this.#partial.length * 2)))
    this.#partial.copy(wider, 0, 0, this.#have)
    this.#partial = wider
  }

  #sizeOf(bytes: Buffer, at: number): number {
    return requestSize(bytes, { at, end: at + SIZE_BYTES }, this.#handler.frameBytesMax)!
  }
}
